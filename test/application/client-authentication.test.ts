import { describe, expect, it, vi } from 'vitest';
import { ClientAuthenticator } from '../../src/application/client-authentication.ts';
import { newSecretId, newSecretRandom } from '../../src/application/random-ids.ts';
import { bcryptHasher } from '../../src/application/secret-hasher.ts';
import { VerifiedSecrets } from '../../src/application/verified-secrets.ts';
import { machineUser } from '../../src/domain/aggregates.ts';
import { composeSecret } from '../../src/domain/machine-secret.ts';
import { exists } from '../../src/domain/machine-user/state.ts';
import { context, emptyStore, node, organizationId, robot } from '../support/application.ts';

/** A machine user with a secret, and an authenticator that sees the user as its stream has it. */
async function authentication(cost = 4) {
  const hasher = bcryptHasher(cost);
  const eventStore = emptyStore();
  const { commands, machineUsers } = node(eventStore);
  const throwing = (error: unknown) => {
    throw error;
  };
  const { userId } = await machineUsers.add(robot, context);
  const { clientSecret } = await machineUsers.setSecret({ userId, organizationId }, context);
  let { state } = await commands.load(machineUser, userId);
  const refresh = async () => {
    state = (await commands.load(machineUser, userId)).state;
  };
  const authenticator = new ClientAuthenticator({
    hasher,
    commands,
    isStillValid: async () => true,
    onRehashFailure: throwing,
    directory: {
      clientBySecretId: (secretId) => {
        if (!exists(state)) return undefined;
        const secret = state.secrets.find((one) => one.secretId === secretId);
        const account = { ...state, userId, tokenEpoch: 0, isActive: state.status === 'active' };
        const unbound = { isImported: false, allowedNetworks: undefined, maxUses: undefined };
        return secret && { account, secret: { ...unbound, ...secret } };
      },
      importedSecretsOf: () => [],
    },
  });
  const verify = vi.spyOn(hasher, 'verify');
  const signIn = (secret = clientSecret, name = 'robot') =>
    authenticator.authenticate(name, secret, { id: 'request', origin: { address: '192.0.2.1' } });
  return { signIn, verify, refresh, clientSecret, userId, machineUsers, commands, eventStore };
}

const guess = (secretId = newSecretId()) => composeSecret(secretId, newSecretRandom());

describe('a client', () => {
  it('is authenticated by its secret, and pays for bcrypt once', async () => {
    const { signIn, verify, userId, clientSecret } = await authentication();
    for (let time = 0; time < 3; time++) {
      expect(await signIn()).toMatchObject({
        userId,
        credential: { kind: 'secret', id: clientSecret.slice(4, 20) },
      });
    }
    expect(verify).toHaveBeenCalledTimes(1);
  });

  it('is refused when its secret ended while the hash was computed, and its secret is not remembered', async () => {
    const { signIn, verify, refresh, userId, machineUsers } = await authentication();
    verify.mockImplementationOnce(async () => {
      await machineUsers.setSecret({ userId, organizationId }, context);
      await refresh();
      return true;
    });
    expect(await signIn()).toBeUndefined();
    expect(await signIn()).toBeUndefined();
  });

  it('is refused without bcrypt for a guess, a typing error, or the secret of another', async () => {
    const { signIn, verify, clientSecret } = await authentication();
    expect(await signIn('')).toBeUndefined();
    expect(await signIn('password')).toBeUndefined();
    expect(await signIn('x'.repeat(100_000))).toBeUndefined();
    expect(
      await signIn(`${clientSecret.slice(0, -1)}${clientSecret.endsWith('A') ? 'B' : 'A'}`),
    ).toBeUndefined();
    expect(await signIn(guess())).toBeUndefined();
    expect(await signIn(clientSecret, 'welder')).toBeUndefined();
    expect(verify).not.toHaveBeenCalled();
  });

  it('is refused for a secret with the right id and checksum but another random part', async () => {
    const { signIn, verify, clientSecret } = await authentication();
    expect(await signIn()).toBeDefined();
    expect(await signIn(guess(clientSecret.slice(4, 20)))).toBeUndefined();
    expect(verify).toHaveBeenCalledTimes(2);
  });

  it.each(['a new secret', 'removal of the secret', 'deactivation'])(
    'is refused after %s, although it was remembered',
    async (change) => {
      const { signIn, refresh, machineUsers, userId } = await authentication();
      expect(await signIn()).toBeDefined();
      const user = { userId, organizationId };
      if (change === 'a new secret') await machineUsers.setSecret(user, context);
      if (change === 'removal of the secret') await machineUsers.removeSecret(user, context);
      if (change === 'deactivation') await machineUsers.deactivate(user, context);
      await refresh();
      expect(await signIn()).toBeUndefined();
    },
  );

  it('gets a new hash on its first use after the cost was changed, once', async () => {
    const { signIn, commands, refresh, userId, eventStore } = await authentication(5);
    const execute = vi.spyOn(commands, 'execute');
    await Promise.all([signIn(), signIn()]);
    await vi.waitFor(() =>
      expect(execute.mock.settledResults.map(({ type }) => type)).toEqual(['fulfilled', 'fulfilled']),
    );
    const hashes = async () => {
      const { state } = await commands.load(machineUser, userId);
      return exists(state) ? state.secrets.map((secret) => secret.hashedSecret.slice(0, 7)) : [];
    };
    await vi.waitFor(async () => expect(await hashes()).toEqual(['$2b$05$']));
    await refresh();
    expect(await signIn()).toBeDefined();
    const events = await Array.fromAsync(eventStore.readStream(`machineUser-${userId}`));
    expect(events).toHaveLength(3);
    expect(events[2]?.metadata).toMatchObject({ editor: { userId }, origin: { address: '192.0.2.1' } });
  });
});

describe('the memory of verified secrets', () => {
  it('knows a secret with its stored hash only', () => {
    const verified = new VerifiedSecrets();
    verified.remember('secret', 'hash');
    expect(verified.isVerified('secret', 'hash')).toBe(true);
    expect(verified.isVerified('other', 'hash')).toBe(false);
    expect(verified.isVerified('secret', 'new hash')).toBe(false);
  });

  it('is bounded', () => {
    const verified = new VerifiedSecrets(2);
    for (const hash of ['1', '2', '3']) verified.remember('secret', hash);
    expect(['1', '2', '3'].map((hash) => verified.isVerified('secret', hash))).toEqual([false, true, true]);
  });
});
