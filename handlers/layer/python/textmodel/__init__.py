"""What the two reference functions share: checking texts, running a small text model, answering each kind of caller.

Deployed as a layer (`SharedLayer` in handlers/template.yaml). Its parts are imported one by one; this file stays empty,
so that a cold start reads nothing that it does not use.
"""
