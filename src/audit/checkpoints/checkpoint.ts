import type { KeyObject } from 'node:crypto';
import { AuditError } from '../audit-error.ts';
import { hashLength } from '../merkle-tree.ts';
import { type NoteVerifier, openNote, signNote } from './signed-note.ts';

/** The head of a log's Merkle tree (c2sp.org/tlog-checkpoint). */
export interface TreeHead {
  /** How many events the tree is over. */
  readonly size: number;
  readonly root: Buffer;
}

export function signCheckpoint({ size, root }: TreeHead, verifier: NoteVerifier, key: KeyObject): string {
  return signNote(`${verifier.name}\n${size}\n${root.toString('base64')}\n`, verifier, key);
}

/** @throws AuditError it is no checkpoint, is of another log, or is not signed by `verifier` */
export function openCheckpoint(checkpoint: string, verifier: NoteVerifier): TreeHead {
  const [origin, size = '', root = ''] = openNote(checkpoint, verifier).split('\n');
  if (origin !== verifier.name)
    throw new AuditError(`the checkpoint is of the log ${origin}, not ${verifier.name}`);
  const head = { size: Number(size), root: Buffer.from(root, 'base64') };
  if (!/^(0|[1-9]\d{0,14})$/.test(size) || head.root.length !== hashLength) {
    throw new AuditError('the checkpoint has no readable tree size and root');
  }
  return head;
}
