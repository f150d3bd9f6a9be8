/** keymill: keyed work on every core of one Node.js process. The public API; everything else is internal. */
export type { DeadLetter } from './delivery/dead-letter.ts';
export { syncFolder } from './delivery/replace-file.ts';
export type { Clock, Environment, Timer } from './environment.ts';
export {
  asError,
  ClassifiedError,
  describe,
  ERRORS,
  type ErrorClass,
  type ErrorCode,
  type ErrorPlace,
  isKeymillError,
  KeymillError,
} from './errors.ts';
export type { KeyReport } from './host/inspect.ts';
export type {
  Finding,
  IoContext,
  IoReply,
  IoResource,
  IoSpec,
  IoThread,
  IoUses,
  StateStore,
  StoredState,
  TopicFinding,
} from './io/contract.ts';
export { DEFAULT_IO_POLICY } from './io/contract.ts';
export { dataPath } from './io/data-path.ts';
export { type OptionReader, optionReader } from './io/option-reader.ts';
export { compareVersions, type Version } from './io/version.ts';
export { LatencyHistogram } from './observe/latency-histogram.ts';
export type { IoMetric } from './observe/stats.ts';
export type { ActorSummary, Health, HotKey, Summary } from './observe/summary.ts';
export { type PolicyOptions, type PolicyOptionsInput, policySchema } from './policies/options.ts';
export { createPolicy, type Policy } from './policies/policy.ts';
export {
  type ActorHandle,
  type KeyHandle,
  Runtime,
  type StartOptions,
  type StopReport,
  start,
  VERSION,
} from './runtime.ts';
export type { DeadLetters } from './supervisor/letters.ts';
export type { AskOptions, TellOptions } from './supervisor/tells.ts';
export {
  type Actor,
  type ActorContext,
  type ActorDefinition,
  type ActorEntry,
  type ActorRef,
  type BatchContext,
  type BatchTrigger,
  type Context,
  defineActor,
  defineSource,
  defineTopology,
  type Key,
  type Log,
  type MaybePromise,
  type MessageOf,
  type Position,
  type RecordMap,
  type ReplyOf,
  type SendOptions,
  type Settings,
  type Source,
  type SourceContext,
  type SourceDefinition,
  type SourceEntry,
  type SourceHalf,
  type SourceRecord,
  type SourceTraits,
  type SummaryContext,
  type Topology,
  type TopologyDefinition,
} from './topology/define.ts';
export type {
  ActorOptions,
  ActorOptionsInput,
  RuntimeOptions,
  RuntimeOptionsInput,
  SourceOptions,
  SourceOptionsInput,
} from './topology/options.ts';
