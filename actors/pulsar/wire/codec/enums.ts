/** Names by number of what travels as a number (reference/pulsar.md 3.2). A number that has no name is passed on as it is. */

export const COMPRESSIONS = ['none', 'lz4', 'zlib', 'zstd', 'snappy'] as const;
export const ACCESS_MODES = ['Shared', 'Exclusive', 'WaitForExclusive', 'ExclusiveWithFencing'] as const;
export const SUB_TYPES = ['Exclusive', 'Shared', 'Failover', 'Key_Shared'] as const;
export const INITIAL_POSITIONS = ['Latest', 'Earliest'] as const;
export const KEY_SHARED_MODES = ['AUTO_SPLIT', 'STICKY'] as const;
export const ACK_TYPES = ['Individual', 'Cumulative'] as const;
export const VALIDATION_ERRORS = [
  'UncompressedSizeCorruption',
  'DecompressionError',
  'ChecksumMismatch',
  'BatchDeSerializeError',
  'DecryptionError',
] as const;
/** `response` of lookupTopicResponse. */
export const LOOKUP_TYPES = ['Redirect', 'Connect', 'Failed'] as const;
/** `response` of partitionMetadataResponse. */
export const PARTITION_LOOKUP_TYPES = ['Success', 'Failed'] as const;
/** `mode` of getTopicsOfNamespace. */
export const TOPIC_MODES = ['PERSISTENT', 'NON_PERSISTENT', 'ALL'] as const;
/** `resourceType` of topicMigrated. */
export const RESOURCE_TYPES = ['Producer', 'Consumer'] as const;
export const TXN_ACTIONS = ['COMMIT', 'ABORT'] as const;

export const SERVER_ERRORS: readonly string[] = [
  'UnknownError',
  'MetadataError',
  'PersistenceError',
  'AuthenticationError',
  'AuthorizationError',
  'ConsumerBusy',
  'ServiceNotReady',
  'ProducerBlockedQuotaExceededError',
  'ProducerBlockedQuotaExceededException',
  'ChecksumError',
  'UnsupportedVersionError',
  'TopicNotFound',
  'SubscriptionNotFound',
  'ConsumerNotFound',
  'TooManyRequests',
  'TopicTerminatedError',
  'ProducerBusy',
  'InvalidTopicName',
  'IncompatibleSchema',
  'ConsumerAssignError',
  'TransactionCoordinatorNotFound',
  'InvalidTxnStatus',
  'NotAllowedError',
  'TransactionConflict',
  'TransactionNotFound',
  'ProducerFenced',
];

export const SCHEMA_TYPES: readonly string[] = [
  'None',
  'String',
  'Json',
  'Protobuf',
  'Avro',
  'Bool',
  'Int8',
  'Int16',
  'Int32',
  'Int64',
  'Float',
  'Double',
  'Date',
  'Time',
  'Timestamp',
  'KeyValue',
  'Instant',
  'LocalDate',
  'LocalTime',
  'LocalDateTime',
  'ProtobufNative',
  'AutoConsume',
  'External',
];
