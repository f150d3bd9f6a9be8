"""The official Python client as a process that tests drive: one JSON object a line, asks on stdin, answers on stdout.

Started with the client's options as JSON: url, and optionally token, certificate, key, ca, validateHost, operationTimeoutS.
An ask is {"ask": number, "do": name, ...}; its answer {"ask": same, "ok": ...} or {"ask": same, "error": name, "message": text}.
Asks run at the same time: one that waits for messages holds up no other. At the end of stdin it closes and ends.
pulsar-peer.ts has the asks with their types.
"""
import base64
import itertools
import json
import os
import sys
import threading
from datetime import timedelta

import pulsar

CODECS = {
    'none': pulsar.CompressionType.NONE,
    'lz4': pulsar.CompressionType.LZ4,
    'zlib': pulsar.CompressionType.ZLib,
    'zstd': pulsar.CompressionType.ZSTD,
    'snappy': pulsar.CompressionType.SNAPPY,
}
TYPES = {
    'Exclusive': pulsar.ConsumerType.Exclusive,
    'Shared': pulsar.ConsumerType.Shared,
    'Failover': pulsar.ConsumerType.Failover,
    'Key_Shared': pulsar.ConsumerType.KeyShared,
}
ACCESS = {
    'Shared': pulsar.ProducerAccessMode.Shared,
    'Exclusive': pulsar.ProducerAccessMode.Exclusive,
    'WaitForExclusive': pulsar.ProducerAccessMode.WaitForExclusive,
    'ExclusiveWithFencing': pulsar.ProducerAccessMode.ExclusiveWithFencing,
}


def given(**options):
    """Without what was not asked for, so that the client's own defaults hold."""
    return {name: value for name, value in options.items() if value is not None}


def text_of(message_id):
    return '%d:%d:%d:%d' % (message_id.ledger_id(), message_id.entry_id(), message_id.partition(), message_id.batch_index())


def id_of(text):
    ledger, entry, partition, batch_index = (int(part) for part in text.split(':'))
    return pulsar.MessageId(partition, ledger, entry, batch_index)._msg_id


def position_of(said):
    if said == 'earliest':
        return pulsar.MessageId.earliest
    if said == 'latest':
        return pulsar.MessageId.latest
    return id_of(said)


def picture(message):
    """The client does not tell an absent key, ordering key or event time from an empty one: null is either."""
    return {
        'id': text_of(message.message_id()),
        'topic': message.topic_name(),
        'producer': message.producer_name(),
        'key': message.partition_key() or None,
        'orderingKey': message.ordering_key() or None,
        'properties': message.properties(),
        'eventTime': message.event_timestamp() or None,
        'publishTime': message.publish_timestamp(),
        'redeliveryCount': message.redelivery_count(),
        'payload': None if message.has_null_value() else base64.b64encode(message.data()).decode(),
    }


class Peer:
    def __init__(self, options):
        authentication = None
        if 'token' in options:
            authentication = pulsar.AuthenticationToken(options['token'])
        elif 'certificate' in options:
            authentication = pulsar.AuthenticationTLS(options['certificate'], options['key'])
        self.client = pulsar.Client(
            options['url'],
            logger=pulsar.ConsoleLogger(pulsar.LoggerLevel.Error),
            **given(
                authentication=authentication,
                tls_trust_certs_file_path=options.get('ca'),
                tls_validate_hostname=options.get('validateHost'),
                operation_timeout_seconds=options.get('operationTimeoutS'),
            ))
        self.handles = itertools.count(1)
        self.consumers = {}
        self.received = {}

    def produce(self, topic, messages, name=None, codec='none', batching=False, byKey=False, chunking=None, access='Shared',
                maxMessages=None):
        producer = self.client.create_producer(
            topic, compression_type=CODECS[codec], batching_enabled=batching, access_mode=ACCESS[access], block_if_queue_full=True,
            batching_type=pulsar.BatchingType.KeyBased if byKey else pulsar.BatchingType.Default,
            # As one batch: it is sent by the flush below, or when it is full.
            batching_max_publish_delay_ms=60000,
            **given(producer_name=name, chunking_enabled=chunking, batching_max_messages=maxMessages))
        try:
            answers = []
            for index, message in enumerate(messages):
                payload = message['payload']
                delay = message.get('deliverAfterMs')
                producer.send_async(
                    None if payload is None else base64.b64decode(payload),
                    lambda result, message_id, index=index: answers.append((index, result, message_id)),
                    **given(
                        partition_key=message.get('key'),
                        ordering_key=message.get('orderingKey'),
                        properties=message.get('properties'),
                        event_timestamp=message.get('eventTime'),
                        sequence_id=message.get('sequenceId'),
                        deliver_after=None if delay is None else timedelta(milliseconds=delay)))
            producer.flush()
            for _, result, _ in answers:
                if result != pulsar.Result.Ok:
                    raise RuntimeError(str(result))
            ids = {index: text_of(message_id) for index, _, message_id in answers}
            return [ids[index] for index in range(len(messages))]
        finally:
            producer.close()

    def subscribe(self, topic, subscription, type='Exclusive', initialPosition='Latest', name=None, queueSize=None,
                  nackDelayMs=None, batchIndexAck=None):
        consumer = self.client.subscribe(
            topic, subscription, consumer_type=TYPES[type], initial_position=getattr(pulsar.InitialPosition, initialPosition),
            **given(consumer_name=name, receiver_queue_size=queueSize, negative_ack_redelivery_delay_ms=nackDelayMs,
                    batch_index_ack_enabled=batchIndexAck))
        handle = next(self.handles)
        self.consumers[handle] = consumer
        self.received[handle] = {}
        return handle

    def receive(self, consumer, count=1, timeoutMs=20000):
        pictures = []
        while len(pictures) < count:
            message = self.consumers[consumer].receive(timeoutMs)
            # The client acknowledges a part of a batch rightly only by the message it gave.
            self.received[consumer][text_of(message.message_id())] = message
            pictures.append(picture(message))
        return pictures

    def acknowledge(self, consumer, ids, cumulative=False):
        by = self.consumers[consumer]
        for text in ids:
            message = self.received[consumer][text]
            by.acknowledge_cumulative(message) if cumulative else by.acknowledge(message)

    def nack(self, consumer, ids):
        for text in ids:
            self.consumers[consumer].negative_acknowledge(self.received[consumer][text])

    def seek(self, consumer, to):
        self.consumers[consumer].seek(to if isinstance(to, int) else position_of(to))

    def unsubscribe(self, consumer):
        self.consumers.pop(consumer).unsubscribe()

    def close(self, consumer):
        self.consumers.pop(consumer).close()

    def read(self, topic, start='earliest'):
        reader = self.client.create_reader(topic, position_of(start))
        try:
            pictures = []
            while reader.has_message_available():
                pictures.append(picture(reader.read_next(20000)))
            return pictures
        finally:
            reader.close()

    def partitions(self, topic):
        return self.client.get_topic_partitions(topic)


ASKS = ('produce', 'subscribe', 'receive', 'acknowledge', 'nack', 'seek', 'unsubscribe', 'close', 'read', 'partitions')


def main():
    # The client logs to stdout: answers keep that for themselves, and the log goes to stderr.
    answers = os.fdopen(os.dup(1), 'w')
    os.dup2(2, 1)
    peer = Peer(json.loads(sys.argv[1]))
    writing = threading.Lock()

    def answer(ask):
        number, name = ask.pop('ask'), ask.pop('do')
        try:
            if name not in ASKS:
                raise ValueError('no ask is called %s' % name)
            reply = {'ask': number, 'ok': getattr(peer, name)(**ask)}
        except Exception as error:
            reply = {'ask': number, 'error': type(error).__name__, 'message': str(error)}
        with writing:
            print(json.dumps(reply), file=answers, flush=True)

    for line in sys.stdin:
        threading.Thread(target=answer, args=(json.loads(line),), daemon=True).start()
    peer.client.close()


main()
