/** Commands that are rare, and what is in them: numbers, kinds, rules and defaults of reference/pulsar.md 3.1 and 3.3. */
import { many, may, mayOne, must, mustOne, type Table } from './fields.ts';

const SCHEMA = {
  name: must(1, 'string'),
  schemaData: must(3, 'bytes'),
  type: must(4, 'int'),
  properties: may(5, 'map'),
};

const FEATURE_FLAGS = {
  supportsAuthRefresh: may(1, 'bool', false),
  supportsBrokerEntryMetadata: may(2, 'bool', false),
  supportsPartialProducer: may(3, 'bool', false),
  supportsTopicWatchers: may(4, 'bool', false),
  supportsGetPartitionedMetadataWithoutAutoCreation: may(5, 'bool', false),
  supportsReplDedupByLidAndEid: may(6, 'bool', false),
  supportsTopicWatcherReconcile: may(7, 'bool', false),
  supportsScalableTopics: may(8, 'bool', false),
  supportsTcMetadataDiscovery: may(9, 'bool', false),
};

const AUTH_DATA = { authMethodName: may(1, 'string'), authData: may(2, 'bytes') };

const INT_RANGE = { start: must(1, 'int'), end: must(2, 'int') };

const KEY_SHARED_META = {
  keySharedMode: must(1, 'int'),
  hashRanges: many(3, INT_RANGE),
  allowOutOfOrderDelivery: may(4, 'bool', false),
};

const SUBSCRIPTION = { topic: must(1, 'string'), subscription: must(2, 'string') };

/** Answers to requests about transactions are all alike. */
const TXN_RESPONSE = {
  requestId: must(1, 'long'),
  txnidLeastBits: may(2, 'long', 0),
  txnidMostBits: may(3, 'long', 0),
  error: may(4, 'int'),
  message: may(5, 'string'),
};

/** A broker that lets go of a topic may say where to go on. */
const CLOSE = {
  requestId: must(2, 'long'),
  assignedBrokerServiceUrl: may(3, 'string'),
  assignedBrokerServiceUrlTls: may(4, 'string'),
};

/** A command's number is that of its field in BaseCommand, and its type. */
export const COMMANDS = {
  connect: [
    2,
    {
      clientVersion: must(1, 'string'),
      authMethod: may(2, 'int'),
      authData: may(3, 'bytes'),
      protocolVersion: may(4, 'int', 0),
      authMethodName: may(5, 'string'),
      proxyToBrokerUrl: may(6, 'string'),
      originalPrincipal: may(7, 'string'),
      originalAuthData: may(8, 'string'),
      originalAuthMethod: may(9, 'string'),
      featureFlags: mayOne(10, FEATURE_FLAGS),
      proxyVersion: may(11, 'string'),
    },
  ],
  connected: [
    3,
    {
      serverVersion: must(1, 'string'),
      protocolVersion: may(2, 'int', 0),
      maxMessageSize: may(3, 'int'),
      featureFlags: mayOne(4, FEATURE_FLAGS),
    },
  ],
  subscribe: [
    4,
    {
      topic: must(1, 'string'),
      subscription: must(2, 'string'),
      subType: must(3, 'int'),
      consumerId: must(4, 'long'),
      requestId: must(5, 'long'),
      consumerName: may(6, 'string'),
      priorityLevel: may(7, 'int'),
      durable: may(8, 'bool', true),
      startMessageId: may(9, 'id'),
      metadata: may(10, 'map'),
      readCompacted: may(11, 'bool'),
      schema: mayOne(12, SCHEMA),
      initialPosition: may(13, 'int', 0),
      replicateSubscriptionState: may(14, 'bool'),
      forceTopicCreation: may(15, 'bool', true),
      startMessageRollbackDurationSec: may(16, 'long', 0),
      keySharedMeta: mayOne(17, KEY_SHARED_META),
      subscriptionProperties: may(18, 'map'),
      consumerEpoch: may(19, 'long'),
    },
  ],
  producer: [
    5,
    {
      topic: must(1, 'string'),
      producerId: must(2, 'long'),
      requestId: must(3, 'long'),
      producerName: may(4, 'string'),
      encrypted: may(5, 'bool', false),
      metadata: may(6, 'map'),
      schema: mayOne(7, SCHEMA),
      epoch: may(8, 'long', 0),
      userProvidedProducerName: may(9, 'bool', true),
      producerAccessMode: may(10, 'int', 0),
      topicEpoch: may(11, 'long'),
      txnEnabled: may(12, 'bool', false),
      initialSubscriptionName: may(13, 'string'),
    },
  ],
  sendError: [
    8,
    { producerId: must(1, 'long'), sequenceId: must(2, 'long'), error: must(3, 'int'), message: must(4, 'string') },
  ],
  unsubscribe: [12, { consumerId: must(1, 'long'), requestId: must(2, 'long'), force: may(3, 'bool', false) }],
  success: [13, { requestId: must(1, 'long'), schema: mayOne(2, SCHEMA) }],
  error: [14, { requestId: must(1, 'long'), error: must(2, 'int'), message: must(3, 'string') }],
  closeProducer: [15, { producerId: must(1, 'long'), ...CLOSE }],
  closeConsumer: [16, { consumerId: must(1, 'long'), ...CLOSE }],
  producerSuccess: [
    17,
    {
      requestId: must(1, 'long'),
      producerName: must(2, 'string'),
      lastSequenceId: may(3, 'long', -1),
      schemaVersion: may(4, 'bytes'),
      topicEpoch: may(5, 'long'),
      producerReady: may(6, 'bool', true),
    },
  ],
  ping: [18, {}],
  pong: [19, {}],
  redeliverUnacknowledgedMessages: [
    20,
    { consumerId: must(1, 'long'), messageIds: may(2, 'ids'), consumerEpoch: may(3, 'long') },
  ],
  partitionMetadata: [
    21,
    {
      topic: must(1, 'string'),
      requestId: must(2, 'long'),
      originalPrincipal: may(3, 'string'),
      originalAuthData: may(4, 'string'),
      originalAuthMethod: may(5, 'string'),
      metadataAutoCreationEnabled: may(6, 'bool', true),
    },
  ],
  partitionMetadataResponse: [
    22,
    {
      partitions: may(1, 'uint'),
      requestId: must(2, 'long'),
      response: may(3, 'int'),
      error: may(4, 'int'),
      message: may(5, 'string'),
    },
  ],
  lookupTopic: [
    23,
    {
      topic: must(1, 'string'),
      requestId: must(2, 'long'),
      authoritative: may(3, 'bool', false),
      originalPrincipal: may(4, 'string'),
      originalAuthData: may(5, 'string'),
      originalAuthMethod: may(6, 'string'),
      advertisedListenerName: may(7, 'string'),
      properties: may(8, 'map'),
    },
  ],
  lookupTopicResponse: [
    24,
    {
      brokerServiceUrl: may(1, 'string'),
      brokerServiceUrlTls: may(2, 'string'),
      response: may(3, 'int'),
      requestId: must(4, 'long'),
      authoritative: may(5, 'bool', false),
      error: may(6, 'int'),
      message: may(7, 'string'),
      proxyThroughServiceUrl: may(8, 'bool', false),
    },
  ],
  consumerStats: [25, { requestId: must(1, 'long'), consumerId: must(4, 'long') }],
  consumerStatsResponse: [
    26,
    {
      requestId: must(1, 'long'),
      errorCode: may(2, 'int'),
      errorMessage: may(3, 'string'),
      msgRateOut: may(4, 'double'),
      msgThroughputOut: may(5, 'double'),
      msgRateRedeliver: may(6, 'double'),
      consumerName: may(7, 'string'),
      availablePermits: may(8, 'long'),
      unackedMessages: may(9, 'long'),
      blockedConsumerOnUnackedMsgs: may(10, 'bool'),
      address: may(11, 'string'),
      connectedSince: may(12, 'string'),
      /** `type` on the wire, which is taken here. */
      subscriptionType: may(13, 'string'),
      msgRateExpired: may(14, 'double'),
      msgBacklog: may(15, 'long'),
      messageAckRate: may(16, 'double'),
    },
  ],
  reachedEndOfTopic: [27, { consumerId: must(1, 'long') }],
  seek: [
    28,
    {
      consumerId: must(1, 'long'),
      requestId: must(2, 'long'),
      messageId: may(3, 'id'),
      messagePublishTime: may(4, 'long'),
    },
  ],
  getLastMessageId: [29, { consumerId: must(1, 'long'), requestId: must(2, 'long') }],
  getLastMessageIdResponse: [
    30,
    { lastMessageId: must(1, 'id'), requestId: must(2, 'long'), consumerMarkDeletePosition: may(3, 'id') },
  ],
  activeConsumerChange: [31, { consumerId: must(1, 'long'), isActive: may(2, 'bool', false) }],
  getTopicsOfNamespace: [
    32,
    {
      requestId: must(1, 'long'),
      namespace: must(2, 'string'),
      mode: may(3, 'int', 0),
      topicsPattern: may(4, 'string'),
      topicsHash: may(5, 'string'),
      properties: may(6, 'map'),
    },
  ],
  getTopicsOfNamespaceResponse: [
    33,
    {
      requestId: must(1, 'long'),
      topics: may(2, 'strings'),
      filtered: may(3, 'bool', false),
      topicsHash: may(4, 'string'),
      changed: may(5, 'bool', true),
    },
  ],
  getSchema: [34, { requestId: must(1, 'long'), topic: must(2, 'string'), schemaVersion: may(3, 'bytes') }],
  getSchemaResponse: [
    35,
    {
      requestId: must(1, 'long'),
      errorCode: may(2, 'int'),
      errorMessage: may(3, 'string'),
      schema: mayOne(4, SCHEMA),
      schemaVersion: may(5, 'bytes'),
    },
  ],
  authChallenge: [
    36,
    { serverVersion: may(1, 'string'), challenge: mayOne(2, AUTH_DATA), protocolVersion: may(3, 'int', 0) },
  ],
  authResponse: [
    37,
    { clientVersion: may(1, 'string'), response: mayOne(2, AUTH_DATA), protocolVersion: may(3, 'int', 0) },
  ],
  getOrCreateSchema: [
    39,
    {
      requestId: must(1, 'long'),
      topic: must(2, 'string'),
      schema: mustOne(3, SCHEMA),
      producerName: may(4, 'string'),
    },
  ],
  getOrCreateSchemaResponse: [
    40,
    {
      requestId: must(1, 'long'),
      errorCode: may(2, 'int'),
      errorMessage: may(3, 'string'),
      schemaVersion: may(4, 'bytes'),
    },
  ],
  newTxn: [
    50,
    {
      requestId: must(1, 'long'),
      txnTtlMillis: may(2, 'long', 0),
      tcId: may(3, 'long', 0),
      scalable: may(4, 'bool', false),
    },
  ],
  newTxnResponse: [51, TXN_RESPONSE],
  addPartitionToTxn: [
    52,
    {
      requestId: must(1, 'long'),
      txnidLeastBits: may(2, 'long', 0),
      txnidMostBits: may(3, 'long', 0),
      partitions: may(4, 'strings'),
      scalable: may(5, 'bool', false),
    },
  ],
  addPartitionToTxnResponse: [53, TXN_RESPONSE],
  addSubscriptionToTxn: [
    54,
    {
      requestId: must(1, 'long'),
      txnidLeastBits: may(2, 'long', 0),
      txnidMostBits: may(3, 'long', 0),
      subscription: many(4, SUBSCRIPTION),
      scalable: may(5, 'bool', false),
    },
  ],
  addSubscriptionToTxnResponse: [55, TXN_RESPONSE],
  endTxn: [
    56,
    {
      requestId: must(1, 'long'),
      txnidLeastBits: may(2, 'long', 0),
      txnidMostBits: may(3, 'long', 0),
      txnAction: may(4, 'int'),
      scalable: may(5, 'bool', false),
    },
  ],
  endTxnResponse: [57, TXN_RESPONSE],
  tcClientConnectRequest: [62, { requestId: must(1, 'long'), tcId: must(2, 'long'), scalable: may(3, 'bool', false) }],
  tcClientConnectResponse: [63, { requestId: must(1, 'long'), error: may(2, 'int'), message: may(3, 'string') }],
  watchTopicList: [
    64,
    {
      requestId: must(1, 'long'),
      watcherId: must(2, 'long'),
      namespace: must(3, 'string'),
      topicsPattern: must(4, 'string'),
      topicsHash: may(5, 'string'),
    },
  ],
  watchTopicListSuccess: [
    65,
    {
      requestId: must(1, 'long'),
      watcherId: must(2, 'long'),
      topic: may(3, 'strings'),
      topicsHash: must(4, 'string'),
    },
  ],
  watchTopicUpdate: [
    66,
    {
      watcherId: must(1, 'long'),
      newTopics: may(2, 'strings'),
      deletedTopics: may(3, 'strings'),
      topicsHash: must(4, 'string'),
    },
  ],
  watchTopicListClose: [67, { requestId: must(1, 'long'), watcherId: must(2, 'long') }],
  topicMigrated: [
    68,
    {
      resourceId: must(1, 'long'),
      resourceType: must(2, 'int'),
      brokerServiceUrl: may(3, 'string'),
      brokerServiceUrlTls: may(4, 'string'),
    },
  ],
} satisfies Record<string, readonly [number, Table]>;
