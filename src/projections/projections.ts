import type { DatabaseSync } from 'node:sqlite';
import { accessTokenQueries, accessTokensProjection } from './access-tokens.ts';
import { instanceProjection, instanceQueries } from './instance.ts';
import { machineKeyQueries, machineKeysProjection } from './machine-keys.ts';
import { machineSecretQueries, machineSecretsProjection } from './machine-secrets.ts';
import { machineUserSearch } from './machine-user-search.ts';
import { machineUserStateQueries } from './machine-user-states.ts';
import { machineUserQueries, machineUsersProjection } from './machine-users.ts';
import { organizationSearch } from './organization-search.ts';
import { organizationQueries, organizationsProjection } from './organizations.ts';
import type { Projection } from './projection.ts';
import type { RecentAnswers } from './recent-answers.ts';
import { webhookQueries, webhooksProjection } from './webhooks.ts';

/** What the read model is made of. */
export const projections: readonly Projection[] = [
  machineUsersProjection,
  machineSecretsProjection,
  machineKeysProjection,
  organizationsProjection,
  instanceProjection,
  accessTokensProjection,
  webhooksProjection,
];

export type Queries = ReturnType<typeof queriesOf>;

/** What the read model can be asked. */
export function queriesOf(db: DatabaseSync, recentAnswers: RecentAnswers) {
  return {
    ...machineUserQueries(db, recentAnswers),
    ...machineSecretQueries(db, recentAnswers),
    ...machineKeyQueries(db),
    ...machineUserSearch(db),
    ...machineUserStateQueries(db),
    ...organizationQueries(db, recentAnswers),
    ...organizationSearch(db),
    ...instanceQueries(db, recentAnswers),
    ...accessTokenQueries(db, recentAnswers),
    ...webhookQueries(db),
  };
}
