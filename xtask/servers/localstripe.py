"""localstripe on the loopback only (its own command listens everywhere), with what today's interface has and it has not:
fields that it does not know are left out, a request under a key that it has answered gets the same answer, and there are
pages on which a card is saved (Checkout in setup mode): whoever opens one has saved the card that the address names."""

import socket
import sys

from aiohttp import web
from localstripe import server
from localstripe.resources import PaymentMethod

UNKNOWN = ("description", "off_session", "return_url", "created")

read_body, read_fields = server.get_post_data, server.unflatten_data
answered = {}


def without(data):
    return {name: value for name, value in (data or {}).items() if name not in UNKNOWN}


async def known_body(request, remove_auth=True):
    return without(await read_body(request, remove_auth))


@web.middleware
async def once(request, handler):
    key = request.headers.get("Idempotency-Key")
    if key in answered:
        status, body = answered[key]
        return web.Response(status=status, body=body, content_type="application/json")
    answer = await handler(request)
    if key is not None:
        answered[key] = (answer.status, answer.body)
    return answer


sessions = {}


async def open_page(request):
    fields = await read_body(request)
    id = f"cs_test_{len(sessions) + 1}"
    url = f"http://127.0.0.1:{sys.argv[1]}/_config/checkout/{id}?card=pm_card_visa"
    sessions[id] = {
        "id": id, "object": "checkout.session", "mode": fields["mode"], "customer": fields["customer"], "url": url,
        "metadata": fields.get("metadata", {}), "setup_intent": None, "success_url": fields["success_url"],
    }
    return server.json_response(sessions[id])


def read_page(request):
    return server.json_response(sessions[request.match_info["id"]])


def save_card(request):
    session = sessions[request.match_info["id"]]
    card = PaymentMethod._api_attach(request.query["card"], customer=session["customer"])
    session["setup_intent"] = {"id": "seti_1", "payment_method": card._export()}
    raise web.HTTPFound(session["success_url"].replace("{CHECKOUT_SESSION_ID}", session["id"]))


server.app.router.add_post("/v1/checkout/sessions", open_page)
server.app.router.add_get("/v1/checkout/sessions/{id}", read_page)
server.app.router.add_get("/_config/checkout/{id}", save_card)
server.get_post_data = known_body
server.unflatten_data = lambda fields: without(read_fields(fields))
server.app.middlewares.insert(0, once)
listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("127.0.0.1", int(sys.argv[1])))
web.run_app(server.app, sock=listener)
