"""OpenAI's chat ↔ Anthropic's messages: calls, whole answers and streams, for a route that speaks the other dialect.

`calls.translate_call` writes the upstream's body, `answers.translate_answer` the client's, and
`streams.StreamTranslator` turns the upstream's events into the client's. Pure: bytes and decoded events in and out.

What becomes of a chat's call:

| Member | In messages |
|---|---|
| `messages`: system, developer | `system`, in their order, wherever they stood |
| user and assistant texts, refusals | text blocks; neighbours of one side are one turn; blank texts are left out |
| `image_url`: data URL, http(s) URL | image block; `detail` is left out |
| `tool_calls`, messages of tools | `tool_use`, `tool_result` all of one turn together; ids in Anthropic's alphabet |
| `tools` | `tools`, with `strict` |
| `tool_choice`, `parallel_tool_calls` | `tool_choice` with `disable_parallel_tool_use` |
| `max_tokens`, `max_completion_tokens` | `max_tokens`: the lowest of them and of what the gateway decided on |
| `stop`, `temperature` up to 1, `top_p`, `top_k`, `stream` | the same; a stop of white space alone is refused |
| `response_format` | `json_schema` as `output_config.format`; `text` is nothing; `json_object` is refused |
| `user`, `safety_identifier` | `metadata.user_id` |
| `cache_control` on parts, tools, results | kept |
| left out | `name` of a speaker and the members of `parameters.CHAT_LEFT_OUT` (`reasoning_effort`, `seed`, …) |
| refused | audio, files, `n` above 1, `logprobs`, penalties, `logit_bias`, `functions`, `web_search_options`, |
| | custom and allowed tools, a conversation that ends with the assistant, and every member that isn't known |

What becomes of a call of messages:

| Member | In a chat |
|---|---|
| `system`, messages of the system | system messages, in their places |
| texts | one text per message: blocks of a user are paragraphs, blocks of an assistant one text |
| image: base64, URL | `image_url` |
| `tool_use`, `tool_result` | `tool_calls`, messages of tools before the user's own; `is_error` as the mark `Error: ` |
| `tools`, `tool_choice` | functions (with `strict`), `tool_choice`, `parallel_tool_calls` |
| `max_tokens` | `max_completion_tokens` for OpenAI, else `max_tokens`: the limit that the gateway decided on |
| `stop_sequences`, `temperature`, `top_p`, `stream` | the same; usage is always asked for in a stream |
| `top_k` | for vLLM and OpenRouter, else refused |
| `output_config.format`, `output_format` | `response_format`, strict; refused for DeepSeek |
| `metadata.user_id` | `safety_identifier` for OpenAI, else `user`; left out above 64 characters |
| left out | `thinking` and its blocks, `effort`, `cache_control`, `parameters.MESSAGES_LEFT_OUT` |
| refused | documents, uploaded files, search results, images in results of tools, tools that run upstream, |
| | `container`, `mcp_servers`, `inference_geo`, an answer begun by the caller, and every member that isn't known |

Thinking is left out in both directions: an answer's is signed for one upstream and can't be shown as another's, and
clients that always ask for it would otherwise have no route. In an answer, blocks of tools that ran upstream and
citations are left out as well, since nobody can have asked for them.
"""
