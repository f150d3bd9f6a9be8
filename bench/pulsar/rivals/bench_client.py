"""The official C++ client from Python as a contestant (lines.ts): one JSON object a line. Started with the url of the broker.

In load.ts is what the asks mean. A callback is given for each message, and each is acknowledged by itself.
"""
import json
import os
import sys
import threading
import time

import pulsar

DISTINCT = 1024
IN_FLIGHT = 20000
TYPES = {'Exclusive': pulsar.ConsumerType.Exclusive, 'Key_Shared': pulsar.ConsumerType.KeyShared}


class Watch:
    """Time, and CPU of all threads of the process, from here on."""

    def __init__(self):
        self.cpu = time.process_time_ns()
        self.began = time.monotonic_ns()

    def stop(self, messages, total=0, disorder=0):
        ns = time.monotonic_ns() - self.began
        cpu = (time.process_time_ns() - self.cpu) / 1000
        return {'messages': messages, 'ns': ns, 'cpuUs': cpu, 'sum': total, 'disorder': disorder}


def publish(client, topic, messages, bytes, batch, batchBytes, keys, by):
    producer = client.create_producer(
        topic, batching_enabled=batch > 1, batching_max_messages=max(2, batch), batching_max_allowed_size_in_bytes=batchBytes,
        batching_max_publish_delay_ms=1, max_pending_messages=IN_FLIGHT, block_if_queue_full=True,
        batching_type=pulsar.BatchingType.KeyBased if by == 'key' else pulsar.BatchingType.Default)
    payloads = [n.to_bytes(4, 'big') + b'k' * (bytes - 4) for n in range(DISTINCT)]
    names = ['key-%d' % n for n in range(keys)]
    done = threading.Event()
    faults = []
    confirmed = 0

    def on_confirmed(result, _):
        nonlocal confirmed
        if result != pulsar.Result.Ok:
            faults.append(result)
        confirmed += 1
        if confirmed == messages:
            done.set()

    watch = Watch()
    send = producer.send_async
    if keys:
        for n in range(messages):
            send(payloads[n % DISTINCT], on_confirmed, partition_key=names[n % keys])
    else:
        for n in range(messages):
            send(payloads[n % DISTINCT], on_confirmed)
    producer.flush()
    done.wait()
    run = watch.stop(messages)
    producer.close()
    if faults:
        raise RuntimeError(str(faults[0]))
    return run


def consume(client, topic, subscription, type, messages, prefetch):
    watch = Watch()
    consumer = client.subscribe(
        topic, subscription, consumer_type=TYPES[type], initial_position=pulsar.InitialPosition.Earliest,
        receiver_queue_size=prefetch)
    receive, acknowledge = consumer.receive, consumer.acknowledge
    total = disorder = 0
    for n in range(messages):
        message = receive()
        number = int.from_bytes(message.data()[:4], 'big')
        if number != n % DISTINCT:
            disorder += 1
        total += number
        acknowledge(message)
    run = watch.stop(messages, total, disorder)
    consumer.close()
    return run


def main():
    # The client logs to stdout: answers keep that for themselves, and the log goes to stderr.
    answers = os.fdopen(os.dup(1), 'w')
    os.dup2(2, 1)
    client = pulsar.Client(sys.argv[1], logger=pulsar.ConsoleLogger(pulsar.LoggerLevel.Error))
    asks = {'hello': lambda client: None, 'publish': publish, 'consume': consume}
    for line in sys.stdin:
        ask = json.loads(line)
        number, name = ask.pop('ask'), ask.pop('do')
        try:
            reply = {'ask': number, 'ok': asks[name](client, **ask)}
        except Exception as error:
            reply = {'ask': number, 'error': '%s: %s' % (type(error).__name__, error)}
        print(json.dumps(reply), file=answers, flush=True)
    client.close()


main()
