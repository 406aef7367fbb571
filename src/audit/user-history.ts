import { idOfStream, machineSecretUse, machineUser } from '../domain/aggregates.ts';
import type { Occurred } from '../domain/decider.ts';
import { type KeyturnEvent, readStoredEvent } from '../domain/event-catalogue.ts';
import type { EventMetadata } from '../domain/event-metadata.ts';
import type { MachineUserEvent } from '../domain/machine-user/events.ts';
import type { MachineSecret } from '../domain/machine-user/secrets.ts';
import { exists, type MachineUserState } from '../domain/machine-user/state.ts';
import type { EventStore, RecordedEvent } from '../eventstore/event-store.ts';
import { eventsOfMachineUser, organizationOfStream, UserNameIndex } from './machine-user-events.ts';

/** What an event changed about a user. Never a hash. */
export interface FieldChange {
  readonly field: string;
  /** Empty: there was nothing. */
  readonly from: string;
  /** Empty: there is nothing any more. */
  readonly to: string;
}

export interface HistoryEntry {
  /** RFC 3339: `occurredAt` of the event. */
  readonly time: string;
  readonly type: string;
  /** Stream version after the event: `details.sequence` in the API. */
  readonly sequence: bigint;
  readonly stream: string;
  readonly position: bigint;
  /** Absent where Keyturn itself caused the event. */
  readonly editor?: { readonly userId: string; readonly organizationId: string; readonly userName?: string };
  /** Id of the organization that the event is about; absent for roles in the whole instance. */
  readonly organizationId?: string;
  readonly address?: string;
  readonly userAgent?: string;
  /** `x-request-id` of the answer. */
  readonly requestId: string;
  readonly changes: readonly FieldChange[];
}

export interface HistoryQuery {
  /** RFC 3339, inclusive: by the time at which events occurred. */
  readonly since?: string | undefined;
  /** RFC 3339, inclusive. */
  readonly until?: string | undefined;
  /** Event types. Default: all. */
  readonly types?: readonly string[] | undefined;
  /** Position of the last entry of the page before. */
  readonly after?: bigint | undefined;
  readonly limit?: number | undefined;
}

/** The life of a machine user, oldest event first. */
export async function* userHistory(
  eventStore: EventStore,
  userId: string,
  query: HistoryQuery = {},
): AsyncGenerator<HistoryEntry> {
  const names = new UserNameIndex(eventStore);
  const subject = new HistorySubject(userId);
  let left = query.limit ?? Number.POSITIVE_INFINITY;
  for await (const recorded of eventsOfMachineUser(eventStore, userId)) {
    if (left <= 0) return;
    const event = readStoredEvent(recorded);
    const { changes, organizationId } = subject.apply(recorded, event);
    if (!matches(query, recorded, event)) continue;
    left--;
    const { editor, origin, $correlationId } = recorded.metadata as unknown as EventMetadata;
    const userName = editor === null ? undefined : await names.nameOf(editor.userId);
    yield {
      time: event.occurredAt,
      type: event.type,
      sequence: recorded.revision + 1n,
      stream: recorded.stream,
      position: recorded.position,
      ...(editor !== null && { editor: { ...editor, ...(userName !== undefined && { userName }) } }),
      ...(organizationId !== undefined && { organizationId }),
      ...origin,
      requestId: $correlationId,
      changes,
    };
  }
}

function matches(
  { since, until, types, after }: HistoryQuery,
  { position }: RecordedEvent,
  { type, occurredAt }: Occurred<KeyturnEvent>,
): boolean {
  const time = Date.parse(occurredAt);
  return (
    (after === undefined || position > after) &&
    (since === undefined || time >= Date.parse(since)) &&
    (until === undefined || time <= Date.parse(until)) &&
    (types === undefined || types.includes(type))
  );
}

type Fields = Readonly<Record<string, string>>;

/** Follows one user through its events, to tell what each of them changed. */
class HistorySubject {
  readonly #userId: string;
  #state: MachineUserState = machineUser.decider.initialState;
  #organizationId: string | undefined;
  readonly #roles = new Map<string, string>();

  constructor(userId: string) {
    this.#userId = userId;
  }

  apply(
    { stream }: RecordedEvent,
    event: Occurred<KeyturnEvent>,
  ): { changes: FieldChange[]; organizationId: string | undefined } {
    if (idOfStream(stream) !== this.#userId || !stream.startsWith(`${machineUser.category}-`)) {
      if (stream.startsWith(`${machineSecretUse.category}-`)) {
        return { changes: changesBesideState(event), organizationId: this.#organizationId };
      }
      return { changes: this.#applyRoles(stream, event), organizationId: organizationOfStream(stream) };
    }
    const before = fieldsOf(this.#state);
    this.#state = machineUser.decider.evolve(this.#state, event as Occurred<MachineUserEvent>);
    if (exists(this.#state)) this.#organizationId = this.#state.organizationId;
    const changes = [...difference(before, fieldsOf(this.#state), event.data), ...changesBesideState(event)];
    return { changes, organizationId: this.#organizationId };
  }

  #applyRoles(stream: string, { data }: KeyturnEvent): FieldChange[] {
    const from = this.#roles.get(stream) ?? '';
    const to = 'roles' in data ? data.roles.join(' ') : '';
    this.#roles.set(stream, to);
    return [{ field: 'roles', from, to }];
  }
}

function fieldsOf(state: MachineUserState): Fields {
  if (!exists(state)) return state.status === 'removed' ? { state: 'removed' } : {};
  const { status, userName, name, description, accessTokenType, secrets, keyIds } = state;
  return {
    state: status,
    userName,
    name,
    description,
    accessTokenType,
    secrets: secrets.map(secretInWords).join(' '),
    keys: keyIds.join(' '),
  };
}

/** With both times: a change of the later one is a change too. */
function secretInWords({ secretId, expiresAt, retiresAt }: MachineSecret): string {
  const expires = expiresAt === undefined ? [] : [`expires ${expiresAt}`];
  const retires = retiresAt === undefined ? [] : [`retires ${retiresAt}`];
  return [secretId, ...expires, ...retires].join(' ');
}

/** @param named what the event says: what it changed is told also where nobody can read any more from what to what */
function difference(before: Fields, after: Fields, named: object): FieldChange[] {
  const fields = [...new Set([...Object.keys(before), ...Object.keys(after)])];
  return fields
    .map((field) => ({ field, from: before[field] ?? '', to: after[field] ?? '' }))
    .filter(({ field, from, to }) => from !== to || (from !== '' && field in named));
}

/** Of events that change nothing about a user that can be shown. */
function changesBesideState(event: KeyturnEvent): FieldChange[] {
  if (event.type === 'MachineSecretRehashed') {
    return [{ field: 'hash', from: `of secret ${event.data.secretId}`, to: 'made anew' }];
  }
  if (event.type === 'MachineSecretUsed' || event.type === 'MachineSecretUsedAfterReplacement') {
    return [{ field: 'use', from: '', to: `of secret ${event.data.secretId}` }];
  }
  if (event.type === 'MachineSecretCheckFailed') {
    return [{ field: 'failedChecks', from: '', to: String(event.data.count) }];
  }
  if (event.type === 'MachineSecretLeaked') {
    const { secretId, source, url = '' } = event.data;
    return [{ field: 'leak', from: '', to: `of secret ${secretId}, found by ${source} ${url}`.trim() }];
  }
  if (event.type === 'MachineSecretExpiring') {
    const { secretId, expiresAt } = event.data;
    return [{ field: 'announcement', from: '', to: `secret ${secretId} expires at ${expiresAt}` }];
  }
  if (event.type === 'MachineUserNameClaimLapsed') {
    return [{ field: 'claimOnUserName', from: event.data.userName, to: '' }];
  }
  return [];
}
