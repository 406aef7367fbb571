import { styleText } from 'node:util';
import { AuditError } from '../audit/audit-error.ts';
import { findMachineUser } from '../audit/machine-user-events.ts';
import { headOf } from '../eventstore/head.ts';
import { type CloudEvent, eventNameOf } from '../subscriptions/cloud-event.ts';
import { StoreFeed } from '../subscriptions/event-feed.ts';
import { isPublishedEventType, type PublishedEventType } from '../subscriptions/published-events.ts';
import { followEvents } from '../subscriptions/subscribe.ts';
import { withReadableLog } from './audited-log.ts';
import { ndjson, printable, writeOut } from './output.ts';

export interface TailSettings {
  readonly dataDir: string;
  readonly eventStore: string;
  readonly masterKey?: string | undefined;
  readonly externalUrl?: string | undefined;
  readonly after?: bigint | undefined;
  readonly type?: readonly string[] | undefined;
  /** Id or user name. */
  readonly user?: string | undefined;
  readonly json?: true | undefined;
}

/** Follows the log, of an instance that runs or not, until SIGINT or SIGTERM. */
export async function tail(settings: TailSettings): Promise<void> {
  await withReadableLog(settings, async (log) => {
    const { eventStore } = log;
    const { after, type: types = [], user, externalUrl = 'urn:keyturn', json } = settings;
    const filter = {
      types: types.map(publishedType),
      userId: user === undefined ? undefined : await findMachineUser(log, user),
    };
    const stopping = new AbortController();
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stopping.abort());
    process.stdout.once('close', () => stopping.abort());
    const events = followEvents({
      feed: new StoreFeed(eventStore, () => externalUrl),
      filter,
      after: after ?? (await headOf(eventStore)),
      signal: stopping.signal,
    });
    await writeOut(json ? ndjson(events) : lines(events));
  });
}

function publishedType(text: string): PublishedEventType {
  const name = eventNameOf(text);
  if (!isPublishedEventType(name)) {
    throw new AuditError(`${text} is no event type that is published: docs/events.md lists them`);
  }
  return name;
}

async function* lines(events: AsyncIterable<CloudEvent>): AsyncGenerator<string> {
  for await (const { time, position, type, subject, authid, data } of events) {
    const name = styleText('bold', eventNameOf(type).padEnd(24), { stream: process.stdout });
    const by = authid === undefined ? 'by Keyturn' : `by ${authid}`;
    yield `${time}  ${position.padStart(7)}  ${name}  ${printable(`${subject}  ${by}  ${JSON.stringify(data)}`)}\n`;
  }
}
