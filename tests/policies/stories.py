"""What lies in the stores for each category, and what must become of it.

Each is in the state in which a company finds itself that has applied its rules before: what is due is a night's or
a few nights' worth, more than the 50 items from which the share counts, and less than a quarter.
"""

from datetime import timedelta

from tests.acceptance.shop import NOW
from tests.policies.company import Company, Story, ages, day, time
from tests.policies.nights import backups, mail_archive, offsite

NO_EVENT = "no event has started its clock"
REFERRED = "other rows refer to it"
NO_DATE = "no usable date"
NOT_OVER = "is not over"


def call_recordings(company: Company) -> Story:
    story, calls = Story(), []
    for n, age in enumerate(ages(60, 95, 150) + ages(240, 1, 87)):
        number = 100_000 + n
        sound = company.put("recordings", f"calls/{day(age)}/{number}.wav")
        calls.append({"id": number, "direction": "in", "telephone": f"0148455{n:04}", "ended_at": time(age)})
        for rule, key in (("sound", sound), ("entries", f"calls/{number}")):
            if age > 90:
                story.goes(rule, key)
            else:
                story.stay(rule, key, "waiting", "its retention period of 3 months is not over")
    calls.append({"id": 199_998, "direction": "in", "telephone": "0", "ended_at": None})
    story.stay("entries", "calls/199998", "undetermined", "date")
    calls.append({"id": 199_999, "direction": "internal", "telephone": "11", "ended_at": time(900)})
    company.put("recordings", "calls/how-to-listen.txt")
    company.rows("desk", "calls", calls)
    return story


def enquiries(company: Company) -> Story:
    story, rows, replies = Story(), [], []

    def enquiry(number: int, status: str, age: float | None) -> str:
        known = {"name": f"Jo {number}", "email": f"jo{number}@example.net", "message": "Do you sell cables?"}
        at = None if age is None else time(age)
        rows.append({"id": number, "source": "contact page", "status": status, "answered_at": at, **known})
        return f"enquiries/{number}"

    def reply(number: int, draft: int = 0) -> str:
        replies.append({"id": number, "enquiry_id": number, "draft": draft, "message": "Yes."})
        return f"enquiry_replies/{number}"

    def letter(number: int) -> str:
        return company.letter("enquiries", f"{number}.x", f"Re: cables [#{number}]")

    for n, age in enumerate(ages(60, 17, 60)):
        key = enquiry(n, "answered", age)
        story.goes("replies", reply(n))
        story.goes("letters", letter(n))
        story.goes("questions", key, night=2)
        story.stay("questions", key, "kept", REFERRED)
    for n, age in enumerate(ages(240, 2, 13), 1000):
        story.stay("questions", enquiry(n, "answered", age), "waiting", "2 weeks is not over")
        story.stay("replies", reply(n), "waiting", "2 weeks is not over")
        story.stay("letters", letter(n), "waiting", "2 weeks is not over")
    for n in range(2000, 2030):
        story.stay("questions", enquiry(n, "open", None), "undetermined", NO_EVENT)
    story.goes("questions", enquiry(3000, "answered", 40))  # answered by telephone: nothing refers to it
    story.stay("questions", enquiry(3001, "open", 40), "undetermined", NO_EVENT)  # opened again
    story.stay("letters", letter(3001), "undetermined", NO_EVENT)
    company.letter("enquiries", "4000.x", "no number")
    reply(3001, draft=1)
    company.rows("desk", "enquiries", rows)
    company.rows("desk", "enquiry_replies", replies)
    return story


def customer_accounts(company: Company) -> Story:
    story, customers, logins, invoices = Story(), [], [], []
    mandate = "the minimum of 6 years is not over (Value Added Tax Act 1994"

    def customer(number: int, closed: float | None) -> str:
        at = None if closed is None else time(closed)
        known = {"kind": "person", "name": f"Kim {number}", "email": f"kim{number}@example.net", "address": "1 Mill Lane"}
        customers.append({"id": number, "closed_at": at, **known})
        return f"customers/{number}"

    def login(number: int, realm: str = "portal") -> str:
        whose = number if realm == "portal" else None
        known = {"email": f"kim{number}@example.net", "password_hash": "$2b$"}
        logins.append({"id": number, "customer_id": whose, "realm": realm, **known})
        return f"logins/{number}"

    def invoice(number: int, whose: int, age: float) -> str:
        known = {"kind": "invoice", "issued_on": str(day(age)), "pence": 1250}
        invoices.append({"id": number, "customer_id": whose, **known})
        return f"invoices/{number}"

    for n, age in enumerate(ages(60, 95, 300), 10_000):  # closed, and invoiced before
        story.stay("customers", customer(n, age), "waiting", mandate)
        story.goes("access", login(n))
        story.stay("invoices", invoice(n, n, age + 50), "waiting", NOT_OVER)
    for n in range(11_000, 11_240):  # still customers
        story.stay("customers", customer(n, None), "undetermined", NO_EVENT)
        story.stay("access", login(n), "undetermined", NO_EVENT)
        story.stay("invoices", invoice(n, n, 2189), "waiting", NOT_OVER)
    for n, age in enumerate(ages(12, 2195, 2400), 12_000):  # everything is over: five invoices, then the customer
        key = customer(n, age)
        for i in range(5):
            story.goes("invoices", invoice(n * 10 + i, n, age + i))
        story.stay("customers", key, "kept", REFERRED)
        story.goes("customers", key, night=2)
    story.stay("customers", customer(13_000, 2300), "kept", REFERRED)  # a credit note came later
    story.stay("invoices", invoice(13_000, 13_000, 2000), "waiting", NOT_OVER)
    story.goes("customers", customer(13_001, 2300))  # never bought anything
    story.stay("customers", customer(13_002, None), "waiting", mandate)  # closed by telephone
    story.goes("access", login(13_002))
    login(19_999, realm="staff")
    company.rows("desk", "customers", customers)
    company.rows("desk", "logins", logins)
    company.rows("desk", "invoices", invoices)
    company.told("event", "record", "account-closed", "13002", "--at", str(day(200)))
    return story


def support_files(company: Company) -> Story:
    story, tickets, attachments = Story(), [], []

    def ticket(number: int, status: str, age: float | None) -> tuple[str, str]:
        known = {"queue": "support", "sender_email": f"al{number}@example.net", "subject": "it hums"}
        tickets.append({"id": number, "status": status, "resolved_at": None if age is None else time(age), **known})
        named = {"kind": "upload", "name": "error.log", "sender_email": f"al{number}@example.net"}
        attachments.append({"id": number, "ticket_id": number, **named})
        return company.put("uploads", f"tickets/{number}/error.log"), f"attachments/{number}"

    def stay(keys: tuple[str, str], verdict: str, why: str) -> None:
        for rule, key in zip(("uploads", "entries"), keys, strict=True):
            story.stay(rule, key, verdict, why)

    for n, age in enumerate(ages(52, 0.1, 0.9), 20_000):
        for rule, key in zip(("uploads", "entries"), ticket(n, "resolved", age), strict=True):
            story.goes(rule, key)
    for n in range(21_000, 21_165):
        stay(ticket(n, "open", None), "undetermined", NO_EVENT)
    stay(ticket(22_000, "open", 0.5), "undetermined", NO_EVENT)  # opened again
    stay(ticket(22_001, "resolved", 1 / 144), "waiting", "")  # ten minutes ago
    story.stay("uploads", company.put("uploads", "tickets/29999/lost.txt"), "undetermined", NO_EVENT)
    company.put("uploads", "read-me.txt")
    company.rows("desk", "tickets", tickets)
    company.rows("desk", "attachments", attachments)
    return story


def remote_sessions(company: Company) -> Story:
    story, sessions, consents = Story(), [], []

    def session(number: int, age: float | None) -> str:
        at = None if age is None else time(age)
        sessions.append({"id": number, "customer_id": 30_000, "computer": f"pc-{number}", "ended_at": at})
        return f"remote_sessions/{number}"

    def consent(number: int, age: float, withdrawn: float | None = None) -> str:
        at = None if withdrawn is None else time(withdrawn)
        consents.append({"id": number, "session_id": number, "given_at": time(age), "withdrawn_at": at})
        return f"session_consents/{number}"

    def recording(number: int, age: float) -> str:
        return company.put("recordings", f"sessions/{day(age)}/{number}.webm")

    for n, age in enumerate(ages(60, 187, 220), 30_000):
        story.goes("log", session(n, age))
    for n, age in enumerate(ages(240, 1, 178), 31_000):
        story.stay("log", session(n, age), "waiting", "6 months is not over")
        if n % 2:
            story.stay("consents", consent(n, age), "waiting", "6 months is not over")
            story.stay("recordings", recording(n, age), "kept", "the event consent allows it")
    for n, age in enumerate(ages(5, 187, 190), 32_000):  # recorded with consent, and over: one night after the other
        key, film = session(n, age), recording(n, age)
        story.goes("consents", consent(n, age))
        story.stay("log", key, "kept", REFERRED)
        story.goes("log", key, night=2)
        story.stay("recordings", film, "kept", "the event consent allows it")
        story.goes("recordings", film, night=2)
    for n in range(33_000, 33_003):  # nobody said yes
        story.stay("log", session(n, 2), "waiting", NOT_OVER)
        story.goes("recordings", recording(n, 2))
    story.stay("log", session(33_010, 2), "waiting", NOT_OVER)  # said yes, and no longer
    story.stay("consents", consent(33_010, 2, withdrawn=1), "waiting", NOT_OVER)
    story.goes("recordings", recording(33_010, 2))
    session(33_020, None)
    company.customers(range(30_000, 30_001))
    company.rows("desk", "remote_sessions", sessions)
    company.rows("desk", "session_consents", consents)
    return story


def web_forms(company: Company) -> Story:
    story, rows = Story(), []
    forms = (
        ("quotations", "quotation", 187, 179),
        ("brochures", "brochure", 30, 27),
        ("applications", "application", 279, 271),
        ("complaints", "complaint", 370, 360),
    )
    for m, (rule, form, over, not_over) in enumerate(forms):
        for n, age in enumerate(ages(60, over, over + 30) + ages(240, 1, not_over)):
            number = 40_000 + 1000 * m + n
            rows.append(
                {"id": number, "form": form, "email": f"f{number}@example.net", "message": "Please", "sent_at": time(age)}
            )
            if n < 60:
                story.goes(rule, f"form_entries/{number}")
            else:
                story.stay(rule, f"form_entries/{number}", "waiting", NOT_OVER)
    for age in (*range(1900, 1905), *range(10, 40)):
        key = company.put("vault", f"forms/form_entries-{age}.jsonl.age")
        company.age("vault", key, age)
        if age > 1830:
            story.goes("archived-complaints", key)
        else:
            story.stay("archived-complaints", key, "waiting", NOT_OVER)
    rows.append({"id": 49_999, "form": "praise", "email": "p@example.net", "message": "Good", "sent_at": time(4000)})
    company.rows("desk", "form_entries", rows)
    return story


def orders(company: Company) -> Story:
    story, rows = Story(), []
    company.customers(range(50_000, 50_002))

    def order(number: int, age: float, whose: int = 50_000, status: str = "delivered") -> str:
        known = {"ordered_on": str(day(age)), "address": "1 Mill Lane", "goods": "a cable"}
        rows.append({"id": number, "customer_id": whose, "status": status, **known})
        return f"orders/{number}"

    for n, age in enumerate(ages(60, 1099, 1300), 50_000):
        story.goes("orders", order(n, age))
    for n, age in enumerate(ages(200, 401, 1093), 51_000):
        why = "the minimum of 3 years is not over (Companies Act 2006, section 388(4))"
        story.stay("orders", order(n, age), "waiting", why)
    for n, age in enumerate(ages(40, 1, 393), 52_000):
        story.stay("orders", order(n, age), "waiting", "its retention period of 13 months is not over")
    for n in range(53_000, 53_003):
        story.stay("orders", order(n, 1200, whose=50_001), "held", "hold CASE-15 covers it")
    order(54_000, 1200, status="open")
    company.rows("desk", "orders", rows)
    claim = ("--reason", "dispute about delivery", "--mandate", "Art. 17(3)(e) GDPR")
    company.told("hold", "place", "CASE-15", *claim, "--subject", "customer=50001", "--category", "orders")
    return story


def cookies(company: Company) -> Story:
    story, records, browsers = Story(), [], []
    for m, (rule, kind, over, not_over) in enumerate((("banner", "banner", 16, 13), ("choices", "choice", 30, 27))):
        for n, age in enumerate(ages(60, over, over + 9) + ages(240, 0.1, not_over)):
            number = 1000 * m + n
            records.append({"id": number, "kind": kind, "value": f"v{n}", "set_at": time(age)})
            if n < 60:
                story.goes(rule, f"cookie_records/{number}")
            else:
                story.stay(rule, f"cookie_records/{number}", "waiting", NOT_OVER)
    for n, age in enumerate(ages(60, 735, 760) + ages(240, 0.1, 727)):
        browsers.append({"client_id": f"GA1-{n}", "last_seen": int((NOW - timedelta(days=age)).timestamp()), "visits": n})
        if n < 60:
            story.goes("browsers", f"browsers/GA1-{n}")
        else:
            story.stay("browsers", f"browsers/GA1-{n}", "waiting", "24 months is not over")
    browsers.append({"client_id": "GA1-x", "last_seen": 0, "visits": 1})  # epoch zero is no date
    story.stay("browsers", "browsers/GA1-x", "undetermined", "")
    company.rows("site", "cookie_records", records)
    company.rows("site", "browsers", browsers)
    return story


def newsletter(company: Company) -> Story:
    story, readers, leavers = Story(), [], []

    def reader(number: int, joined: float, left: float | None = None, list_: str = "news") -> str:
        email = f"r{number}@example.net"
        readers.append({"id": number, "list": list_, "email": email, "joined_at": time(joined)})
        if left is not None:
            leavers.append({"id": number, "email": email, "left_at": time(left)})
            story.stay("leavers", f"leavers/{number}", "kept", "the action of the rule is keep")
        return f"readers/{number}"

    for n, age in enumerate(ages(60, 0.1, 1.9)):
        story.goes("readers", reader(n, 400, left=age))
    for n in range(1000, 1240):
        story.stay("readers", reader(n, 400), "undetermined", NO_EVENT)
    story.stay("readers", reader(2000, 10, left=100), "undetermined", NO_EVENT)  # left, and came back
    story.stay("readers", reader(2001, 400, left=1 / 144), "waiting", "")  # ten minutes ago
    story.goes("readers", reader(2002, 400))  # rang
    reader(2003, 400, left=50, list_="security notices")
    company.rows("desk", "readers", readers)
    company.rows("desk", "leavers", leavers)
    company.told("event", "record", "unsubscribed", "r2002@example.net", "--at", f"{NOW - timedelta(hours=3):%Y-%m-%dT%H:%M:%SZ}")
    return story


def contracts(company: Company) -> Story:
    story, rows = Story(), []
    company.customers(range(60_000, 60_500))

    def contract(customer: int, ended: float | None, n: int = 0) -> None:
        on = None if ended is None else str(day(ended))
        rows.append({"id": customer * 10 + n, "customer_id": customer, "started_on": str(day(4000)), "ended_on": on})

    def service(customer: int) -> list[str]:
        return [company.put("papers", f"service/{customer}/{name}") for name in ("settings.json", "keys.txt")]

    def paper(customer: int) -> str:
        return company.put("papers", f"contracts/{customer}/signed.pdf")

    mandate = "the minimum of 6 years is not over (Finance Act 1998, Schedule 18"
    for n, age in enumerate(ages(27, 33, 60), 60_000):  # the service is over, the law is not
        contract(n, age)
        for key in service(n):
            story.goes("service", key)
        story.stay("papers", paper(n), "waiting", mandate)
    for n in range(60_100, 60_185):  # still customers
        contract(n, None)
        for key in service(n):
            story.stay("service", key, "undetermined", NO_EVENT)
        story.stay("papers", paper(n), "undetermined", NO_EVENT)
    for n, age in enumerate(ages(45, 2196, 2300), 60_300):  # both are over; the service went long ago
        contract(n, age)
        story.goes("papers", paper(n))
    contract(60_400, 100)  # one contract is over, another one runs
    contract(60_400, None, n=1)
    contract(60_401, 4)  # just over
    for customer, verdict, why in ((60_400, "undetermined", NO_EVENT), (60_401, "waiting", "30 days is not over")):
        for key in service(customer):
            story.stay("service", key, verdict, why)
    story.stay("papers", paper(60_402), "waiting", mandate)  # from before the database, told by hand
    company.rows("desk", "contracts", rows)
    company.told("event", "record", "contract-ended", "60402", "--at", str(day(90)))
    return story


def support_cases(company: Company) -> Story:
    story, tickets, messages = Story(), [], []

    def case(number: int, status: str, age: float | None) -> tuple[str, str]:
        whose = {"sender_email": f"sam{number}@example.net"}
        at = None if age is None else time(age)
        tickets.append({"id": number, "queue": "support", "status": status, "subject": "it hums", "resolved_at": at, **whose})
        messages.append({"id": number, "ticket_id": number, "channel": "mail", "message": "Again.", **whose})
        return f"tickets/{number}", f"ticket_messages/{number}"

    for n, age in enumerate(ages(60, 369, 400), 70_000):
        key, message = case(n, "resolved", age)
        story.goes("messages", message)
        story.stay("cases", key, "kept", REFERRED)
        story.goes("cases", key, night=2)
    for n, age in enumerate(ages(240, 1, 363), 71_000):
        for rule, key in zip(("cases", "messages"), case(n, "resolved", age), strict=True):
            story.stay(rule, key, "waiting", "1 year is not over")
    for n in range(72_000, 72_020):
        for rule, key in zip(("cases", "messages"), case(n, "open", None), strict=True):
            story.stay(rule, key, "undetermined", NO_EVENT)
    key, message = case(73_000, "resolved", 400)  # something is still attached
    story.goes("messages", message)
    story.stay("cases", key, "kept", REFERRED)
    company.rows("desk", "tickets", tickets)
    company.rows("desk", "ticket_messages", messages)
    attached = {"kind": "drawing", "name": "plan.dwg", "sender_email": "sam73000@example.net"}
    company.rows("desk", "attachments", [{"id": 73_000, "ticket_id": 73_000, **attached}])
    return story


def licences(company: Company) -> Story:
    story, rows, checks = Story(), [], []
    company.customers(range(80_000, 80_001))

    def licence(n: int, expires: float | None, product: str = "mail server") -> str:
        on = None if expires is None else str(day(expires))
        rows.append({"id": n, "number": f"HB-{n:05}", "customer_id": 80_000, "product": product, "expires_on": on})
        return f"licences/HB-{n:05}"

    def file(n: int) -> str:
        return company.put("papers", f"licences/HB-{n:05}.key")

    for n, age in enumerate(ages(60, 378, 400)):  # the file went a week ago
        story.goes("rows", licence(n, age))
    for n, age in enumerate(ages(60, 368, 371), 1000):  # now the file, next week the row
        story.goes("files", file(n))
        story.stay("rows", licence(n, age), "waiting", NOT_OVER)
    for n, age in enumerate(ages(240, 1, 363), 2000):
        story.stay("files", file(n), "waiting", "1 year is not over")
        story.stay("rows", licence(n, age), "waiting", NOT_OVER)
    story.stay("files", file(3000), "undetermined", NO_EVENT)  # without end
    story.stay("rows", licence(3000, None), "undetermined", "")
    licence(4000, 900, product="trial")
    for n, age in enumerate(ages(60, 95, 110) + ages(240, 0.1, 87)):
        checks.append({"id": n, "licence": "HB-02000", "ip": "192.0.2.9", "answer": "good", "asked_at": time(age)})
        if n < 60:
            story.goes("questions", f"licence_checks/{n}")
        else:
            story.stay("questions", f"licence_checks/{n}", "waiting", "3 months is not over")
    company.rows("desk", "licences", rows)
    company.rows("site", "licence_checks", checks)
    return story


def connection_logs(company: Company) -> Story:
    story, rows = Story(), []
    for server in ("web", "mail"):
        for age in range(35):
            key = company.put("logs", f"{server}/{day(age)}.log")
            if age >= 30:
                story.goes("files", key)
            elif age < 28 and age > 0:
                story.stay("files", key, "waiting", "28 days is not over")
            elif age == 0:
                story.stay("files", key, "undetermined", "future")  # its day is not over
            else:
                (company.srv / "logs" / key).unlink()  # at the edge, and the test must not turn at midnight

    def connection(n: int, ip: str, host: str | None, age: float) -> str:
        rows.append({"id": n, "server": "web", "ip": ip, "host": host, "at": time(age)})
        return f"connections/{n}"

    for n, age in enumerate(ages(80, 16, 17)):
        ip = f"192.0.2.{n + 1}" if n % 2 else f"2001:db8:1:2::{n + 1:x}"
        key = connection(n, ip, f"host-{n}.example.net", age)
        story.goes("addresses", key)
        story.stay("rows", key, "waiting", "1 year is not over")
    for n, age in enumerate(ages(200, 0.1, 13), 1000):
        key = connection(n, f"198.51.100.{n % 250 + 1}", None, age)
        story.stay("addresses", key, "waiting", "2 weeks is not over")
        story.stay("rows", key, "waiting", "1 year is not over")
    for n, age in enumerate(ages(200, 18, 360), 2000):
        key = connection(n, "203.0.113.0", None, age)
        story.stay("addresses", key, "kept", "anonymised already")
        story.stay("rows", key, "waiting", "1 year is not over")
    for n, age in enumerate(ages(60, 369, 371), 3000):
        key = connection(n, "203.0.113.0", None, age)
        story.goes("rows", key)
        story.stay("addresses", key, "kept", "anonymised already")
    for n in range(4000, 4003):  # both are due, and the one that destroys acts
        key = connection(n, "203.0.113.9", "late.example.net", 370)
        story.goes("rows", key)
        story.goes("addresses", key)
    key = connection(5000, "localhost", None, 17)  # no address, so it cannot be cut
    story.stay("addresses", key, "undetermined", "its column ip holds what truncate cannot anonymise")
    story.stay("rows", key, "waiting", "1 year is not over")
    company.rows("site", "connections", rows)
    return story


def statistics(company: Company) -> Story:
    story, rows = Story(), []

    def visit(n: int, age: float, **columns: object) -> str:
        known = {"session": f"s{n}", "email": f"v{n}@example.net", "name": f"Vic {n}", "ip": f"192.0.2.{n % 250}"}
        others = {"postcode": "HD1 4QF", "born": "1987-06-05", "page": f"/{n % 9}", "at": time(age)}
        rows.append({"id": n, **known, **others, **columns})
        return f"visits/{n}"

    done = {"session": None, "email": None, "name": "removed", "ip": "192.0.0.0", "postcode": "HD*****", "born": "1987-01-01"}
    for n, age in enumerate(ages(60, 3, 4)):
        story.goes("visits", visit(n, age))
    for n, age in enumerate(ages(40, 0.01, 0.9), 1000):
        story.stay("visits", visit(n, age), "waiting", "1 day is not over")
    for n, age in enumerate(ages(240, 4, 300), 2000):
        story.stay("visits", visit(n, age, **done), "kept", "anonymised already")
    half = visit(3000, 4, **{**done, "name": "Vic"})  # somebody began by hand
    story.goes("visits", half)
    story.stay("visits", visit(3001, 4, born="in the fifties"), "undetermined", "its column born holds what truncate cannot")
    company.rows("site", "visits", rows)
    return story


STORIES = {
    story.__name__.replace("_", "-"): story
    for story in (
        call_recordings, enquiries, customer_accounts, support_files, remote_sessions, backups, offsite, mail_archive,
        connection_logs,
        web_forms, orders, cookies, newsletter, contracts, statistics, support_cases, licences,
    )
}  # fmt: skip
"""By category."""
