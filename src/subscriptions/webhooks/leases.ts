import type { CommandContext, CommandHandler } from '../../application/command-handler.ts';
import { idOfStream, node } from '../../domain/aggregates.ts';
import type { RecordedEvent } from '../../eventstore/event-store.ts';
import type { LiveEventFeed } from '../live-event-feed.ts';

/** Which of the nodes that share an event store may deliver. */
export interface Leases {
  /** A node holds what it has claimed as long as it is alive. */
  isAlive(nodeId: string): boolean;
  /** In milliseconds: how long this node is sure that no other one believes it to be dead. 0: it is not. */
  validFor(): number;
  start(): void;
  stop(): Promise<void>;
}

/** The process is the only one on its event store: the store sees to that. */
export const soleNode: Leases = {
  isAlive: () => false,
  validFor: () => Number.POSITIVE_INFINITY,
  start: () => {},
  stop: async () => {},
};

export interface NodeLeasesOptions {
  /** Unique to the process. */
  readonly nodeId: string;
  readonly commands: CommandHandler;
  readonly feed: Pick<LiveEventFeed, 'watch'>;
  /** Nothing is written while there is nothing to hold. */
  readonly isNeeded: () => boolean;
  /** In milliseconds: how often a node says that it is alive. */
  readonly beatInterval: number;
  /** In milliseconds: a node that was not heard of for so long is dead. */
  readonly expiry: number;
  readonly onError: (error: unknown) => void;
}

/**
 * Nodes tell by events that they are alive. Each measures by its own clock how long it has not heard of the others, so
 * clocks need not agree. A node that could not make itself heard for most of the expiry stops before others
 * take over; should it be frozen all that time, the claim of the next one refuses its progress.
 */
export class NodeLeases implements Leases {
  readonly #options: NodeLeasesOptions;
  readonly #stop = new AbortController();
  readonly #lastSeen = new Map<string, number>();
  readonly #left = new Set<string>();
  #startedAt = 0;
  #validUntil = 0;
  #timer: NodeJS.Timeout | undefined;
  #beating: Promise<void> = Promise.resolve();
  #following: Promise<void> | undefined;

  constructor(options: NodeLeasesOptions) {
    this.#options = options;
  }

  start(): void {
    this.#startedAt = performance.now();
    this.#following = this.#follow().catch(this.#options.onError);
    this.#beat();
  }

  /** Others may take over at once. */
  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    this.#stop.abort();
    await Promise.all([this.#beating, this.#following]);
    this.#validUntil = 0;
    await this.#tell('Leave').catch(this.#options.onError);
  }

  isAlive(nodeId: string): boolean {
    if (this.#left.has(nodeId)) return false;
    const lastSeen = this.#lastSeen.get(nodeId) ?? this.#startedAt;
    return performance.now() - lastSeen < this.#options.expiry;
  }

  validFor(): number {
    return Math.max(0, this.#validUntil - performance.now());
  }

  #beat(): void {
    const { isNeeded, beatInterval, expiry, onError } = this.#options;
    const begin = performance.now();
    const beat = async () => {
      if (!isNeeded()) return;
      await this.#tell('Beat');
      // From before it was written: others may have heard of it right then. A beat earlier than they give up.
      this.#validUntil = begin + expiry - beatInterval;
    };
    this.#beating = beat()
      .catch(onError)
      .finally(() => {
        if (!this.#stop.signal.aborted) this.#timer = setTimeout(() => this.#beat(), beatInterval);
      });
  }

  async #tell(type: 'Beat' | 'Leave'): Promise<void> {
    const { commands, nodeId } = this.#options;
    const context: CommandContext = { editor: null, correlationId: nodeId, causationId: nodeId };
    await commands.execute(node, nodeId, { type }, context);
  }

  async #follow(): Promise<void> {
    const accept = ({ stream }: RecordedEvent) => stream.startsWith(`${node.category}-`);
    for await (const { type, stream } of this.#options.feed.watch(accept, this.#stop.signal)) {
      this.#note(type, idOfStream(stream));
    }
  }

  #note(type: string, nodeId: string): void {
    if (type === 'NodeLeft') this.#left.add(nodeId);
    else this.#lastSeen.set(nodeId, performance.now());
  }
}
