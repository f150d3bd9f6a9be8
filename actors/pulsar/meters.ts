/** What a `pulsar` I/O actor measures of itself, whatever its driver (G1044, P15). */
import { type Clock, type IoMetric, LatencyHistogram } from '../../runtime/index.ts';
import type { DriverNumbers } from './contract.ts';

export class Meters {
  readonly #clock: Clock;
  readonly #seconds = new LatencyHistogram();
  #attempts = 0;
  #successes = 0;
  #failures = 0;
  received = 0;
  processed = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Counts a publish and times it. */
  async publish<T>(publishing: Promise<T>): Promise<T> {
    const began = this.#clock.now();
    this.#attempts++;
    try {
      const done = await publishing;
      this.#successes++;
      this.#seconds.record((this.#clock.now() - began) * 1000);
      return done;
    } catch (error) {
      this.#failures++;
      throw error;
    }
  }

  metrics({ buried, corrupt, reconnects, connections, requests, attachments }: DriverNumbers): readonly IoMetric[] {
    const states = (['producer', 'consumer'] as const).flatMap(kind =>
      (['connecting', 'ready'] as const).map(
        (state): IoMetric => ({
          name: 'pulsar_attachments',
          labels: { kind, state },
          value: attachments[kind][state],
        }),
      ),
    );
    return [
      { name: 'pulsar_publish_attempt_total', value: this.#attempts },
      { name: 'pulsar_publish_success_total', value: this.#successes },
      { name: 'pulsar_publish_failure_total', value: this.#failures },
      { name: 'pulsar_publish_seconds', value: this.#seconds.words },
      { name: 'pulsar_publish_pending', value: this.#attempts - this.#successes - this.#failures },
      { name: 'pulsar_consumer_message_received_total', value: this.received },
      { name: 'pulsar_consumer_message_processed_total', value: this.processed },
      { name: 'pulsar_consumer_message_dlq_total', value: buried },
      { name: 'pulsar_consumer_message_failed_total', value: corrupt },
      ...states,
      { name: 'pulsar_connections', value: connections },
      { name: 'pulsar_requests_pending', value: requests },
      { name: 'pulsar_reconnects_total', value: reconnects },
    ];
  }
}
