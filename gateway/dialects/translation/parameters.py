"""Which members of a call are said in the other dialect, which are left out, and which are refused.

Left out is what changes neither the words nor the shape of an answer: hints on cost, speed and effort, and what an
upstream would keep for its own books. Refused is all else, also what nobody knows yet.
"""

CHAT_TRANSLATED = frozenset(
    {
        "model",
        "messages",
        "max_tokens",
        "max_completion_tokens",
        "parallel_tool_calls",
        "response_format",
        "safety_identifier",
        "stop",
        "stream",
        "stream_options",
        "temperature",
        "tool_choice",
        "tools",
        "top_k",
        "top_p",
        "user",
    }
)

CHAT_LEFT_OUT = frozenset(
    {
        "metadata",
        "prediction",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "reasoning_effort",
        "seed",
        "service_tier",
        "store",
        "verbosity",
    }
)

CHAT_NEUTRAL: dict[str, tuple[object, ...]] = {
    "frequency_penalty": (0,),
    "function_call": ("auto", "none"),
    "functions": ([],),
    "logit_bias": ({},),
    "logprobs": (False,),
    "modalities": (["text"], []),
    "n": (1,),
    "presence_penalty": (0,),
    "top_logprobs": (0,),
}
"""Values that ask for nothing: with any other value the member is refused."""

MESSAGES_TRANSLATED = frozenset(
    {
        "model",
        "messages",
        "max_tokens",
        "metadata",
        "output_config",
        "output_format",
        "stop_sequences",
        "stream",
        "system",
        "temperature",
        "tool_choice",
        "tools",
        "top_k",
        "top_p",
    }
)

MESSAGES_LEFT_OUT = frozenset(
    {"cache_control", "context_management", "diagnostics", "service_tier", "speed", "thinking"}
)

MESSAGES_NEUTRAL: dict[str, tuple[object, ...]] = {"inference_geo": ("global",), "mcp_servers": ([],)}
