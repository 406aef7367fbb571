import type { MachineUserStanding } from '../projections/machine-user-states.ts';

export interface StandingDifference {
  readonly userId: string;
  /** The user name after, or before where the user is gone. */
  readonly userName: string;
  readonly kind: 'added' | 'removed' | 'changed';
  readonly fields: readonly { readonly field: string; readonly from: string; readonly to: string }[];
}

/**
 * What differs between two states of all machine users. Both must be in the order of ids; neither is held in memory.
 */
export async function* standingDifferences(
  before: AsyncIterable<MachineUserStanding>,
  after: AsyncIterable<MachineUserStanding>,
): AsyncGenerator<StandingDifference> {
  for await (const [a, b] of pairsById(before, after)) {
    const [from, to] = [fieldsOf(a), fieldsOf(b)];
    const fields = [...new Set([...Object.keys(from), ...Object.keys(to)])]
      .map((field) => ({ field, from: from[field] ?? '', to: to[field] ?? '' }))
      .filter((change) => change.from !== change.to);
    const { userId = '', userName = '' } = b ?? a ?? {};
    if (a === undefined) yield { userId, userName, kind: 'added', fields };
    else if (b === undefined) yield { userId, userName, kind: 'removed', fields };
    else if (fields.length > 0) yield { userId, userName, kind: 'changed', fields };
  }
}

type Pair = readonly [MachineUserStanding | undefined, MachineUserStanding | undefined];

async function* pairsById(
  before: AsyncIterable<MachineUserStanding>,
  after: AsyncIterable<MachineUserStanding>,
): AsyncGenerator<Pair> {
  const [left, right] = [before[Symbol.asyncIterator](), after[Symbol.asyncIterator]()];
  const next = async (iterator: AsyncIterator<MachineUserStanding>) => {
    const { done, value } = await iterator.next();
    return done ? undefined : value;
  };
  let [a, b] = [await next(left), await next(right)];
  while (a !== undefined || b !== undefined) {
    const order = orderOfIds(a?.userId, b?.userId);
    yield [order <= 0 ? a : undefined, order >= 0 ? b : undefined];
    if (order <= 0) a = await next(left);
    if (order >= 0) b = await next(right);
  }
}

/** Negative: `a` comes first. By bytes, as SQLite orders. An id that is not there comes last. */
function orderOfIds(a: string | undefined, b: string | undefined): number {
  if (a === undefined) return 1;
  if (b === undefined) return -1;
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

function fieldsOf(standing: MachineUserStanding | undefined): Readonly<Record<string, string>> {
  if (standing === undefined) return {};
  const { state, organizationId, userName, name, description, accessTokenType, secrets, keys, roles } =
    standing;
  return {
    state,
    organizationId,
    userName,
    name,
    description,
    accessTokenType,
    secrets: secrets.map(({ secretId }) => secretId).join(' '),
    keys: keys.map(({ keyId }) => keyId).join(' '),
    ...Object.fromEntries(
      roles.map((granted) => [
        granted.organizationId === '' ? 'roles in the instance' : `roles in ${granted.organizationId}`,
        granted.roles.join(' '),
      ]),
    ),
  };
}
