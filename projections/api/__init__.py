"""The read models over HTTP. What a workspace's own key may see is decided here, route by route."""
