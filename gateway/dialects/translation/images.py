"""Images: a URL or a data URL in a chat, a source of either kind in a message."""

from gateway.dialects.translation.decoded import Object, as_object, as_text, cannot_say, refuse

MEDIA_TYPES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
"""What both sides take."""

SCHEMES = ("https://", "http://")


def image_block(part: Object, param: str) -> Object:
    """Return Anthropic's block of a chat's image. How closely it is looked at (`detail`) can't be told."""
    image = part.get("image_url")
    # Some clients write the URL itself where an object belongs, and most upstreams take it.
    url = image if isinstance(image, str) else as_text(as_object(image, f"{param}.image_url").get("url"), param)
    if url[:8].lower().startswith(SCHEMES):
        return {"type": "image", "source": {"type": "url", "url": url}}
    head, comma, data = url.partition(",")
    scheme, _, kind = head.partition(":")
    media_type, *settings = kind.lower().split(";")
    if scheme.lower() != "data" or not comma or "base64" not in settings:
        raise refuse("An image must be an http(s) URL or a data URL in base64.", param)
    media_type = "image/jpeg" if media_type == "image/jpg" else media_type
    if media_type not in MEDIA_TYPES:
        raise cannot_say("images that are no JPEG, PNG, GIF or WebP", param)
    return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}}


def image_part(block: Object, param: str) -> Object:
    """Return a chat's part of Anthropic's image."""
    source = as_object(block.get("source"), f"{param}.source")
    if source.get("type") == "url":
        url = as_text(source.get("url"), f"{param}.source.url")
    elif source.get("type") == "base64":
        media_type = as_text(source.get("media_type"), f"{param}.source.media_type")
        url = f"data:{media_type};base64,{as_text(source.get('data'), f'{param}.source.data')}"
    else:
        raise cannot_say("uploaded images", f"{param}.source")
    return {"type": "image_url", "image_url": {"url": url}}
