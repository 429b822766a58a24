"""A stand-in for Mollie, written from its documentation (docs.mollie.com/reference): customers, mandates, payments, refunds,
lists in pages, and keys for idempotency. The mandates `mdt_good` and `mdt_poor` are there for every customer."""

import itertools
import json
import sys
from datetime import datetime, timezone

from aiohttp import web

PORT = int(sys.argv[1])
numbers = itertools.count(1)
customers, mandates, payments, refunds, answered = {}, {}, {}, {}, {}


def answer(body, status=200):
    return web.Response(status=status, text=json.dumps(body), content_type="application/hal+json")


def refused(status, detail, field=None):
    return answer({"status": status, "title": "Refused", "detail": detail, "field": field}, status)


@web.middleware
async def known(request, handler):
    if not request.path.startswith("/_config/") and not request.headers.get("Authorization", "").startswith("Bearer test_"):
        return refused(401, "Missing authentication, or failed to authenticate")
    key = request.headers.get("Idempotency-Key")
    if key and key in answered:
        status, text = answered[key]
        return web.Response(status=status, text=text, content_type="application/hal+json")
    given = await handler(request)
    if key:
        answered[key] = (given.status, given.text)
    return given


def mandate(customer, id):
    fixed = {"mdt_good": "Mastercard", "mdt_poor": "Visa"}
    if id in fixed:
        details = {"cardLabel": fixed[id], "cardNumber": "6787", "cardExpiryDate": "2030-12-31"}
        return {"resource": "mandate", "id": id, "status": "valid", "method": "creditcard", "details": details}
    found = mandates.get(id)
    return found if found and found["customerId"] == customer else None


async def make_customer(request):
    id = f"cst_{next(numbers)}"
    customers[id] = {"resource": "customer", "id": id, **await request.json()}
    return answer(customers[id], 201)


async def get_mandate(request):
    found = mandate(request.match_info["customer"], request.match_info["mandate"])
    return answer(found) if found else refused(404, "No mandate exists with this id")


async def end_mandate(request):
    if mandates.pop(request.match_info["mandate"], None) is None:
        return refused(404, "No mandate exists with this id")
    return web.Response(status=204)


async def make_payment(request):
    asked = await request.json()
    if asked["customerId"] not in customers:
        return refused(422, "The customer does not exist", "customerId")
    id = f"tr_{next(numbers)}"
    it = {"resource": "payment", "id": id, "createdAt": datetime.now(timezone.utc).isoformat(), "_links": {}, **asked}
    if asked["sequenceType"] == "first":
        it["status"] = "open"
        it["_links"]["checkout"] = {"href": f"http://127.0.0.1:{PORT}/_config/checkout/{id}"}
    elif mandate(asked["customerId"], asked["mandateId"]) is None:
        return refused(422, "The mandate is not valid", "mandateId")
    elif asked["mandateId"] == "mdt_poor":
        it["status"], it["details"] = "failed", {"failureReason": "insufficient_funds"}
    else:
        it["status"] = "paid"
    payments[id] = it
    return answer(it, 201)


async def get_payment(request):
    found = payments.get(request.match_info["payment"])
    return answer(found) if found else refused(404, "No payment exists with this id")


async def change_payment(request):
    it = payments[request.match_info["payment"]]
    it.update(await request.json())
    return answer(it)


def page(request, all):
    """The newest first, from an id on."""
    all, limit = all[::-1], min(int(request.query.get("limit", "50")), 2)
    start = next((place for place, it in enumerate(all) if it["id"] == request.query.get("from")), 0)
    links = {}
    if start + limit < len(all):
        links["next"] = {"href": f"http://127.0.0.1:{PORT}{request.path}?from={all[start + limit]['id']}&limit={limit}"}
    return answer({"count": limit, "_embedded": {"payments": all[start : start + limit]}, "_links": links})


async def list_payments(request):
    return page(request, list(payments.values()))


async def list_own(request):
    return page(request, [it for it in payments.values() if it["customerId"] == request.match_info["customer"]])


async def list_refunds(request):
    return answer({"_embedded": {"refunds": refunds.get(request.match_info["payment"], [])}, "_links": {}})


async def make_refund(request):
    it = {"resource": "refund", "id": f"re_{next(numbers)}", "status": "refunded", **await request.json()}
    refunds.setdefault(request.match_info["payment"], []).append(it)
    return answer(it, 201)


async def save_card(request):
    it = payments[request.match_info["payment"]]
    id = f"mdt_{next(numbers)}"
    details = {"cardLabel": "Mastercard", "cardNumber": "6787", "cardExpiryDate": "2030-12-31"}
    mandates[id] = {"resource": "mandate", "id": id, "status": "valid", "method": "creditcard", "details": details,
                    "customerId": it["customerId"]}
    it["status"], it["mandateId"] = "paid", id
    raise web.HTTPFound(it["redirectUrl"])


app = web.Application(middlewares=[known])
app.router.add_post("/v2/customers", make_customer)
app.router.add_get("/v2/customers/{customer}/payments", list_own)
app.router.add_get("/v2/customers/{customer}/mandates/{mandate}", get_mandate)
app.router.add_delete("/v2/customers/{customer}/mandates/{mandate}", end_mandate)
app.router.add_post("/v2/payments", make_payment)
app.router.add_get("/v2/payments", list_payments)
app.router.add_get("/v2/payments/{payment}", get_payment)
app.router.add_patch("/v2/payments/{payment}", change_payment)
app.router.add_get("/v2/payments/{payment}/refunds", list_refunds)
app.router.add_post("/v2/payments/{payment}/refunds", make_refund)
app.router.add_get("/_config/checkout/{payment}", save_card)
web.run_app(app, host="127.0.0.1", port=PORT)
