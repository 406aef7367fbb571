import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { SigningKeyService, SigningKeyState } from '#generated/keyturn/v1/signing_key_pb.js';
import type { SigningKeyRing } from '../../application/signing-key-ring.ts';
import type { SigningKeyRotation } from '../../application/signing-key-rotation.ts';
import { implement, type RpcService } from '../rpc/method.ts';

export interface SigningKeyServiceDependencies {
  readonly keyRing: SigningKeyRing;
  readonly rotation: SigningKeyRotation;
}

const { method } = SigningKeyService;

/** keyturn.v1.SigningKeyService */
export function signingKeyService({ keyRing, rotation }: SigningKeyServiceDependencies): RpcService {
  const list = () => {
    const keys = keyRing.published();
    const signing = keyRing.signingKeyId();
    const place = keys.findIndex(({ keyId }) => keyId === signing);
    return keys.map(({ keyId, algorithm, creationDate, signsFrom }, index) => ({
      id: keyId,
      algorithm,
      state: stateOf(index - place),
      creationDate: timestampFromDate(new Date(creationDate)),
      signsFrom: timestampFromDate(new Date(signsFrom)),
    }));
  };

  return {
    descriptor: SigningKeyService,
    basePath: '/keyturn/v1',
    scope: 'instance',
    methods: [
      implement(method.listSigningKeys, async () => ({ result: list() })),

      implement(method.rotateSigningKey, async ({ revokeOthers }, { context }) => {
        const added = await rotation.rotate({ revokesOthers: revokeOthers }, context);
        const key = list().find(({ id }) => id === added);
        return key === undefined ? {} : { key };
      }),
    ],
  };
}

/** @param place in a list of keys, newest first, counted from the one that signs */
function stateOf(place: number): SigningKeyState {
  if (place === 0) return SigningKeyState.SIGNING;
  return place < 0 ? SigningKeyState.PENDING : SigningKeyState.RETIRING;
}
