from tests.integration.conftest import *
def test_x(edge):
    import httpx
    r=edge.post("/responses", {"model":"smart","input":"Hi","stream":True})
    print(r.text[-1500:])
    r=edge.post("/chat/completions", {"model":"smart","messages":[{"role":"user","content":"hi"}],"stream":True})
    print(r.text[-900:], r.headers)
    r=edge.post("/messages", {"model":"claude","max_tokens":100,"messages":[{"role":"user","content":"hi"}],"stream":True})
    print(r.text[-900:])
    r=edge.post("/messages", {"model":"smart","max_tokens":100,"messages":[{"role":"user","content":"hi"}],"stream":True})
    print(r.text[-900:])
    assert 0
