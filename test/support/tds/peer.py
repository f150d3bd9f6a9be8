"""python-tds as another side than tedious: runs what it is told on one connection and prints what came, as JSON.

Argument: JSON with host, port, password, ca (path or null), loginOnly, and steps: [sql, params or null] each.
"""
import datetime
import decimal
import json
import sys
import uuid

import pytds


def plain(value):
    if isinstance(value, (bytes, bytearray)):
        return {"bytes": bytes(value).hex()}
    if isinstance(value, (decimal.Decimal, uuid.UUID)):
        return {"text": str(value)}
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return {"text": value.isoformat()}
    return value


def given(value):
    if isinstance(value, dict) and "decimal" in value:
        return decimal.Decimal(value["decimal"])
    if isinstance(value, dict) and "bytes" in value:
        return pytds.Binary(bytes.fromhex(value["bytes"]))
    return value


def run(cursor, sql, params):
    try:
        cursor.execute(sql, None if params is None else tuple(given(value) for value in params))
        rows = cursor.fetchall() if cursor.description else None
        return {"rows": rows and [[plain(value) for value in row] for row in rows], "count": cursor.rowcount}
    except pytds.Error as error:
        return {"error": type(error).__name__, "number": getattr(error, "msg_no", None), "text": str(error)}


def main():
    told = json.loads(sys.argv[1])
    try:
        connection = pytds.connect(
            dsn=told["host"],
            port=told["port"],
            user="sa",
            password=told["password"],
            database="shop",
            cafile=told["ca"],
            enc_login_only=told["loginOnly"],
            login_timeout=10,
            timeout=10,
            disable_connect_retry=True,
            autocommit=told["autocommit"],
        )
    except Exception as error:
        print(json.dumps({"refused": type(error).__name__, "text": str(error)}))
        return
    with connection:
        results = []
        for sql, params in told["steps"]:
            if sql in ("commit", "rollback"):
                getattr(connection, sql)()
                continue
            with connection.cursor() as cursor:
                results.append(run(cursor, sql, params))
        print(json.dumps({"results": results}))


main()
