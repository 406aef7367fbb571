import { expect, it } from 'vitest';
import { strictCheck } from '../../src/application/credential-check.ts';
import { organization } from '../../src/domain/aggregates.ts';
import { context, emptyStore, node, organizationId, robot } from '../support/application.ts';

it('refuses a secret strictly while the organization of its user is inactive', async () => {
  const { commands, machineUsers } = node(emptyStore());
  const change = (type: 'Deactivate' | 'Reactivate') =>
    commands.execute(organization, organizationId, { type }, context);
  await commands.execute(organization, organizationId, { type: 'AddOrganization', name: 'Keyturn' }, context);
  const { userId } = await machineUsers.add(robot, context);
  const { clientSecret } = await machineUsers.setSecret({ userId, organizationId }, context);
  const client = {
    userId,
    organizationId,
    userName: 'robot',
    accessTokenType: 'bearer',
    tokenEpoch: 0,
    isActive: true,
    credential: { kind: 'secret', id: clientSecret.slice(4, 20) },
  } as const;
  const isStillValid = strictCheck(commands);
  expect(await isStillValid(client)).toBe(true);
  await change('Deactivate');
  expect(await isStillValid(client)).toBe(false);
  await change('Reactivate');
  expect(await isStillValid(client)).toBe(true);
});
