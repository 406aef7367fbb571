import { type StaleSecret, staleSecrets } from '../audit/stale-secrets.ts';
import { headOf } from '../eventstore/head.ts';
import { withReadableLog } from './audited-log.ts';
import { eventProgress } from './event-progress.ts';
import { csv, jsonArray, tableBlocks, writeOut, writePaged } from './output.ts';

export interface StaleSettings {
  readonly dataDir: string;
  readonly eventStore: string;
  readonly masterKey?: string | undefined;
  readonly unusedDays: number;
  readonly oldDays: number;
  readonly format: 'table' | 'json' | 'csv';
}

const columns = ['user', 'userId', 'secret', 'reasons', 'created', 'last used', 'retires'];

/** Lists the live secrets that somebody should look at: replaced ones that are still used, unused ones, old ones. */
export async function stale({
  dataDir,
  eventStore: store,
  masterKey,
  format,
  ...limits
}: StaleSettings): Promise<void> {
  await withReadableLog({ dataDir, eventStore: store, masterKey }, async ({ eventStore }) => {
    const head = Number(await headOf(eventStore));
    const progress = eventProgress('reading the log');
    const onProgress = (position: number) => progress.update(position, head);
    const secrets = untilFirst(staleSecrets(eventStore, { now: new Date(), ...limits, onProgress }), () =>
      progress.stop(),
    );
    if (format === 'json') return writeOut(jsonArray(secrets));
    if (format === 'csv') return writeOut(csv(rows(secrets), columns));
    return writePaged(
      tableBlocks(rows(secrets), { head: columns, empty: 'no secret needs a look' }, Object.values),
    );
  });
}

async function* rows(secrets: AsyncIterable<StaleSecret>): AsyncGenerator<Record<string, string>> {
  for await (const secret of secrets) {
    yield {
      user: secret.userName,
      userId: secret.userId,
      secret: secret.secretId,
      reasons: secret.reasons.join('; '),
      created: secret.creationDate,
      'last used': secret.lastUsed ?? 'never',
      retires: secret.retiresAt ?? '',
    };
  }
}

/** Tells before the first value, or the end. */
async function* untilFirst<Value>(values: AsyncIterable<Value>, onFirst: () => void): AsyncGenerator<Value> {
  try {
    for await (const value of values) {
      onFirst();
      yield value;
    }
  } finally {
    onFirst();
  }
}
