import { MissingMasterKeyError, WrongMasterKeyError } from '../application/master-keys.ts';
import { AuditError } from '../audit/audit-error.ts';
import { EventSchemaError } from '../domain/event-schema.ts';
import {
  EventStoreUnavailableError,
  EventStoreUnusableError,
  UnreadableEventError,
} from '../eventstore/errors.ts';
import { InvalidSettingError } from './settings.ts';

const names: ReadonlySet<string> = new Set(
  [
    AuditError,
    EventSchemaError,
    EventStoreUnavailableError,
    EventStoreUnusableError,
    InvalidSettingError,
    MissingMasterKeyError,
    UnreadableEventError,
    WrongMasterKeyError,
  ].map((expected) => expected.name),
);

/**
 * What the person at the command line can mend: the message is enough, where everything else deserves its stack trace. By name:
 * an error that comes from another thread has lost its class.
 */
export function isExpected(error: unknown): error is Error {
  return error instanceof Error && names.has(error.name);
}
