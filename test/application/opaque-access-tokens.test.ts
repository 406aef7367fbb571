import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MasterKeys } from '../../src/application/master-keys.ts';
import { OpaqueAccessTokens } from '../../src/application/opaque-access-tokens.ts';

const newKey = () => new Uint8Array(randomBytes(32));
const payload = { sub: 'user', aud: ['api'], scope: 'openid' };

describe('an opaque access token', () => {
  const key = newKey();
  const tokens = new OpaqueAccessTokens(new MasterKeys(key));

  it('says what was written to whoever has the master key', () => {
    expect(new OpaqueAccessTokens(new MasterKeys(key)).read(tokens.write(payload))).toEqual(payload);
  });

  it('shows nothing of it, and is another each time', () => {
    const token = tokens.write(payload);
    expect(Buffer.from(token.slice(4), 'base64url').toString('latin1')).not.toContain('user');
    expect(tokens.write(payload)).not.toBe(token);
  });

  it('is read with the previous master key, as long as that is there', () => {
    const token = tokens.write(payload);
    expect(new OpaqueAccessTokens(new MasterKeys(newKey(), key)).read(token)).toEqual(payload);
    expect(new OpaqueAccessTokens(new MasterKeys(newKey())).read(token)).toBeUndefined();
  });

  it('is void when any character of it is another', () => {
    const token = tokens.write(payload);
    const characters = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.= '];
    fc.assert(
      fc.property(fc.nat(token.length - 1), fc.constantFrom(...characters), (index, character) => {
        fc.pre(token[index] !== character);
        expect(tokens.read(token.slice(0, index) + character + token.slice(index + 1))).toBeUndefined();
      }),
    );
    for (const other of [token.slice(0, -1), `${token}A`, `${token}=`, `${token}\n`, '', 'kta_']) {
      expect(tokens.read(other)).toBeUndefined();
    }
  });
});
