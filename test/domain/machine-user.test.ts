import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { fold, type Occurred } from '../../src/domain/decider.ts';
import { KeyturnError } from '../../src/domain/errors.ts';
import { type MachineUserCommand, machineUserDecider } from '../../src/domain/machine-user/decider.ts';
import type { MachineUserEvent } from '../../src/domain/machine-user/events.ts';
import { givenTime, occurred, specification } from '../support/given-when-then.ts';

const { given } = specification(machineUserDecider);

const organizationId = 'org-1';
const profile = { name: 'Robot', description: 'welds', accessTokenType: 'bearer' } as const;
const added: MachineUserEvent = {
  type: 'MachineUserAdded',
  data: { organizationId, userName: 'robot', ...profile },
};
const event = (
  type: 'MachineUserDeactivated' | 'MachineUserLocked' | 'MachineUserRemoved' | 'MachineUserErased',
): MachineUserEvent => ({
  type,
  data: {},
});
const secretSet = (secretId: string, ...replacedSecretIds: string[]): MachineUserEvent => ({
  type: 'MachineSecretSet',
  data: { secretId, hashedSecret: `hash-${secretId}`, replacedSecretIds },
});
const deactivated = event('MachineUserDeactivated');
const locked = event('MachineUserLocked');
const removed = event('MachineUserRemoved');
const erased = event('MachineUserErased');

describe('Erase', () => {
  const erase = { type: 'Erase', organizationId } as const;

  it('erases a removed user', () => given(added, removed).when(erase).thenEvents(erased));
  it('changes nothing the second time', () => given(added, removed, erased).when(erase).thenEvents());
  it('refuses a user that was not removed', () => given(added).when(erase).thenError('USER_NOT_REMOVED'));
  it('finds no user that never was', () => given().when(erase).thenError('USER_NOT_FOUND'));
  it('finds no user of another organization', () =>
    given(added, removed)
      .when({ ...erase, organizationId: 'org-2' })
      .thenError('USER_NOT_FOUND'));
  it('leaves nothing of who the user was in the state', () =>
    given(added, removed, erased).thenState({ status: 'removed', organizationId, erasedAt: givenTime }));
});

describe('AddMachineUser', () => {
  const add = { type: 'AddMachineUser', organizationId, userName: 'robot', ...profile } as const;

  it('adds an absent user', () => given().when(add).thenEvents(added));
  it('trims the user name', () =>
    given()
      .when({ ...add, userName: ' robot ' })
      .thenEvents(added));
  it('refuses a blank user name', () =>
    given()
      .when({ ...add, userName: ' \t' })
      .thenError('USER_NAME_EMPTY'));
  it('refuses a blank name', () =>
    given()
      .when({ ...add, name: ' ' })
      .thenError('USER_DISPLAY_NAME_EMPTY'));
  it('refuses an id in use', () => given(added).when(add).thenError('USER_ALREADY_EXISTS'));
  it('refuses the id of a removed user', () =>
    given(added, removed).when(add).thenError('USER_ALREADY_EXISTS'));
  it('adds a user whose earlier claim on a name lapsed', () =>
    given({ type: 'MachineUserNameClaimLapsed', data: { userName: 'robot' } })
      .when(add)
      .thenEvents(added));
});

describe('ChangeMachineUser', () => {
  const change = { type: 'ChangeMachineUser', organizationId, ...profile } as const;

  it('states only the fields that change', () =>
    given(added)
      .when({ ...change, name: 'Robo', accessTokenType: 'jwt' })
      .thenEvents({ type: 'MachineUserChanged', data: { name: 'Robo', accessTokenType: 'jwt' } }));
  it('can empty the description', () =>
    given(added)
      .when({ ...change, description: '' })
      .thenEvents({ type: 'MachineUserChanged', data: { description: '' } }));
  it('refuses a change of nothing', () => given(added).when(change).thenError('USER_NOT_CHANGED'));
  it('refuses a blank name', () =>
    given(added)
      .when({ ...change, name: '' })
      .thenError('USER_DISPLAY_NAME_EMPTY'));
});

describe('ChangeUserName', () => {
  const change = (userName: string) => ({ type: 'ChangeUserName', organizationId, userName }) as const;

  it('changes the name', () =>
    given(added)
      .when(change('welder'))
      .thenEvents({ type: 'MachineUserNameChanged', data: { userName: 'welder' } }));
  it('changes the spelling of the same name', () =>
    given(added)
      .when(change('Robot'))
      .thenEvents({ type: 'MachineUserNameChanged', data: { userName: 'Robot' } }));
  it('refuses the same name', () => given(added).when(change('robot ')).thenError('USER_NAME_NOT_CHANGED'));
  it('refuses a blank name', () => given(added).when(change('')).thenError('USER_NAME_EMPTY'));
});

describe('LapseUserNameClaim', () => {
  const lapse = { type: 'LapseUserNameClaim', userName: 'robot' } as const;
  const lapsed: MachineUserEvent = { type: 'MachineUserNameClaimLapsed', data: { userName: 'robot' } };

  it('moves on the stream of a user that was never added', () => given().when(lapse).thenEvents(lapsed));
  it('moves on the stream of a user with another name', () =>
    given(added, { type: 'MachineUserNameChanged', data: { userName: 'welder' } })
      .when(lapse)
      .thenEvents(lapsed));
  it('is refused when the user uses the name', () => given(added).when(lapse).thenError('USER_NAME_TAKEN'));
  it('needs no event for a removed user, which can never use a name again', () =>
    given(added, removed).when(lapse).thenEvents());
});

describe('SetSecret', () => {
  const set = { type: 'SetSecret', organizationId, secretId: 'two', hashedSecret: 'hash-two' } as const;

  it('sets the first secret', () => given(added).when(set).thenEvents(secretSet('two')));
  it('replaces the secret before it', () =>
    given(added, secretSet('one')).when(set).thenEvents(secretSet('two', 'one')));
  it('is allowed for an inactive user', () =>
    given(added, deactivated).when(set).thenEvents(secretSet('two')));
  it('is allowed for a locked user', () => given(added, locked).when(set).thenEvents(secretSet('two')));
  it('leaves exactly the new secret', () =>
    given(added, secretSet('one'), secretSet('two', 'one')).thenState({
      status: 'active',
      organizationId,
      userName: 'robot',
      ...profile,
      addedAt: givenTime,
      secrets: [{ secretId: 'two', hashedSecret: 'hash-two', createdAt: givenTime }],
      importedSecretIds: [],
      keyIds: [],
    }));
});

describe('RehashSecret', () => {
  const rehash = {
    type: 'RehashSecret',
    organizationId,
    secretId: 'one',
    outdatedHash: 'hash-one',
    hashedSecret: 'new',
  } as const;
  const rehashed: MachineUserEvent = {
    type: 'MachineSecretRehashed',
    data: { secretId: 'one', hashedSecret: 'new' },
  };

  it('keeps the secret under a new hash', () =>
    given(added, secretSet('one')).when(rehash).thenEvents(rehashed));
  it('does nothing for a secret that was replaced', () =>
    given(added, secretSet('one'), secretSet('two', 'one')).when(rehash).thenEvents());
  it('does nothing for a secret that was hashed anew already', () =>
    given(added, secretSet('one'), rehashed).when(rehash).thenEvents());
});

describe('RemoveSecret', () => {
  const remove = { type: 'RemoveSecret', organizationId } as const;

  it('removes the live secret', () =>
    given(added, secretSet('one'))
      .when(remove)
      .thenEvents({ type: 'MachineSecretRemoved', data: { secretIds: ['one'] } }));
  it('is refused when there is none', () => given(added).when(remove).thenError('SECRET_NOT_EXISTING'));
  it('is refused the second time', () =>
    given(added, secretSet('one'), { type: 'MachineSecretRemoved', data: { secretIds: ['one'] } })
      .when(remove)
      .thenError('SECRET_NOT_EXISTING'));
});

describe('the keys of a user', () => {
  const key = { keyId: 'k', publicKey: 'pem', expiresAt: '2027-01-01T00:00:00.000Z' };
  const add = { type: 'AddKey', organizationId, ...key } as const;
  const keyAdded: MachineUserEvent = { type: 'MachineKeyAdded', data: key };
  const remove = { type: 'RemoveKey', organizationId, keyId: 'k' } as const;
  const keyRemoved: MachineUserEvent = { type: 'MachineKeyRemoved', data: { keyId: 'k' } };

  it('are added', () => given(added).when(add).thenEvents(keyAdded));
  it('are refused when they have expired already', () =>
    given(added)
      .when({ ...add, expiresAt: givenTime })
      .thenError('MACHINE_KEY_EXPIRED'));
  it('are removed', () => given(added, keyAdded).when(remove).thenEvents(keyRemoved));
  it('are removed once', () =>
    given(added, keyAdded, keyRemoved).when(remove).thenError('MACHINE_KEY_NOT_FOUND'));
  it('must be the user’s own to be removed', () =>
    given(added).when(remove).thenError('MACHINE_KEY_NOT_FOUND'));
});

describe('the access tokens of a user', () => {
  const ended: MachineUserEvent = { type: 'MachineTokensEnded', data: {} };

  it('end when that is asked for', () =>
    given(added).when({ type: 'EndTokens', organizationId }).thenEvents(ended));
  it('end with a new secret, if the caller says so', () =>
    given(added)
      .when({ type: 'SetSecret', organizationId, secretId: 'one', hashedSecret: 'hash-one', endTokens: true })
      .thenEvents(ended, secretSet('one')));
  it('end with the removal of the secret, if the caller says so', () =>
    given(added, secretSet('one'))
      .when({ type: 'RemoveSecret', organizationId, endTokens: true })
      .thenEvents(ended, { type: 'MachineSecretRemoved', data: { secretIds: ['one'] } }));
});

describe('the states of a user', () => {
  const command = (type: 'Deactivate' | 'Reactivate' | 'Lock' | 'Unlock' | 'Remove') => ({
    type,
    organizationId,
  });
  const reactivated: MachineUserEvent = { type: 'MachineUserReactivated', data: {} };
  const unlocked: MachineUserEvent = { type: 'MachineUserUnlocked', data: {} };

  it('deactivates an active user', () => given(added).when(command('Deactivate')).thenEvents(deactivated));
  it('deactivates a locked user', () =>
    given(added, locked).when(command('Deactivate')).thenEvents(deactivated));
  it('does not deactivate twice', () =>
    given(added, deactivated).when(command('Deactivate')).thenError('USER_ALREADY_INACTIVE'));
  it('reactivates an inactive user', () =>
    given(added, deactivated).when(command('Reactivate')).thenEvents(reactivated));
  it('does not reactivate an active user', () =>
    given(added).when(command('Reactivate')).thenError('USER_NOT_INACTIVE'));
  it('does not reactivate a locked user', () =>
    given(added, locked).when(command('Reactivate')).thenError('USER_NOT_INACTIVE'));
  it('makes a user active that was locked before it was deactivated', () =>
    given(added, locked, deactivated, reactivated).when(command('Lock')).thenEvents(locked));
  it('locks an active user', () => given(added).when(command('Lock')).thenEvents(locked));
  it('does not lock twice', () => given(added, locked).when(command('Lock')).thenError('USER_NOT_ACTIVE'));
  it('does not lock an inactive user', () =>
    given(added, deactivated).when(command('Lock')).thenError('USER_NOT_ACTIVE'));
  it('unlocks a locked user', () => given(added, locked).when(command('Unlock')).thenEvents(unlocked));
  it('does not unlock an active user', () =>
    given(added).when(command('Unlock')).thenError('USER_NOT_LOCKED'));
  it('removes a user in any state', () => given(added, locked).when(command('Remove')).thenEvents(removed));
});

const commandsOnExisting: Exclude<MachineUserCommand, { type: 'LapseUserNameClaim' }>[] = [
  { type: 'ChangeMachineUser', organizationId, ...profile },
  { type: 'ChangeUserName', organizationId, userName: 'welder' },
  { type: 'SetSecret', organizationId, secretId: 'one', hashedSecret: 'hash' },
  { type: 'RehashSecret', organizationId, secretId: 'one', outdatedHash: 'old', hashedSecret: 'hash' },
  { type: 'RemoveSecret', organizationId },
  {
    type: 'AddKey',
    organizationId,
    keyId: 'k',
    publicKey: 'pem',
    expiresAt: '2027-01-01T00:00:00.000Z',
  },
  { type: 'RemoveKey', organizationId, keyId: 'k' },
  { type: 'EndTokens', organizationId },
  ...(['Deactivate', 'Reactivate', 'Lock', 'Unlock', 'Remove'] as const).map((type) => ({
    type,
    organizationId,
  })),
];

describe.each(commandsOnExisting)('$type', (command) => {
  it('finds no absent user', () => given().when(command).thenError('USER_NOT_FOUND'));
  it('finds no removed user', () => given(added, removed).when(command).thenError('USER_NOT_FOUND'));
  it('finds no user of another organization', () =>
    given(added)
      .when({ ...command, organizationId: 'org-2' })
      .thenError('USER_NOT_FOUND'));
});

const anySecretId = fc.constantFrom('one', 'two', 'three');
const anyText = fc.constantFrom('', ' ', 'a', 'B', 'robot');
const anyProfile = { name: anyText, description: anyText, accessTokenType: fc.constantFrom('bearer', 'jwt') };
const inAnyOrganization = { organizationId: fc.constantFrom('org-1', 'org-1', 'org-1', 'org-2') };
const anyCommand = fc.oneof(
  fc.record({ type: fc.constant('AddMachineUser'), userName: anyText, ...anyProfile, ...inAnyOrganization }),
  fc.record({ type: fc.constant('ChangeMachineUser'), ...anyProfile, ...inAnyOrganization }),
  fc.record({
    type: fc.constantFrom('ChangeUserName', 'LapseUserNameClaim'),
    userName: anyText,
    ...inAnyOrganization,
  }),
  fc.record({
    type: fc.constantFrom('SetSecret', 'RehashSecret'),
    secretId: anySecretId,
    outdatedHash: anyText,
    hashedSecret: anyText,
    ...inAnyOrganization,
  }),
  fc.record({
    type: fc.constantFrom('RemoveSecret', 'Deactivate', 'Reactivate', 'Lock', 'Unlock', 'Remove'),
    ...inAnyOrganization,
  }),
) as fc.Arbitrary<MachineUserCommand>;

/** Runs the commands one after the other; a refused one changes nothing. */
function run(commands: readonly MachineUserCommand[]) {
  const history: Occurred<MachineUserEvent>[] = [];
  let state = machineUserDecider.initialState;
  for (const [index, command] of commands.entries()) {
    try {
      const now = new Date(index).toISOString();
      for (const decided of machineUserDecider.decide(command, state, now)) {
        const happened = occurred(decided, now);
        history.push(happened);
        state = machineUserDecider.evolve(state, happened);
      }
    } catch (error) {
      if (!(error instanceof KeyturnError)) throw error;
    }
  }
  return { history, state };
}

test('any sequence of commands folds to the same state one by one and replayed', () => {
  fc.assert(
    fc.property(fc.array(anyCommand, { maxLength: 40 }), (commands) => {
      const { history, state } = run(commands);
      const stored = JSON.parse(JSON.stringify(history)) as typeof history;
      expect(fold(machineUserDecider, stored)).toEqual(state);
    }),
  );
});

test('no sequence of commands leaves more than one live secret, or one with a user that is gone', () => {
  fc.assert(
    fc.property(fc.array(anyCommand, { maxLength: 40 }), (commands) => {
      const { state } = run(commands);
      expect('secrets' in state ? state.secrets.length : 0).toBeLessThanOrEqual(1);
    }),
  );
});

describe('UpdateMachineUser', () => {
  const update = { type: 'UpdateMachineUser', organizationId } as const;

  it('changes name and user name at once', () =>
    given(added)
      .when({ ...update, userName: 'welder', name: 'Welder' })
      .thenEvents(
        { type: 'MachineUserNameChanged', data: { userName: 'welder' } },
        { type: 'MachineUserChanged', data: { name: 'Welder' } },
      ));
  it('leaves alone what is not given, and what is the same', () => {
    given(added).when(update).thenEvents();
    given(added)
      .when({ ...update, userName: 'robot', name: profile.name })
      .thenEvents();
  });
  it('changes nothing when a part is refused', () => {
    given(added)
      .when({ ...update, userName: 'welder', name: ' ' })
      .thenError('USER_DISPLAY_NAME_EMPTY');
    given(added)
      .when({ ...update, userName: ' ', name: 'Welder' })
      .thenError('USER_NAME_EMPTY');
  });
});
