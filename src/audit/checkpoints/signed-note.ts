import { createPublicKey, hash, type KeyObject, sign, verify } from 'node:crypto';
import { AuditError } from '../audit-error.ts';

/** Signed notes with Ed25519 (c2sp.org/signed-note@v1.0.0), which checkpoints are. */

const ed25519 = 0x01;
const signatureLine = /^— (?<name>[^\s+]+) (?<signature>[A-Za-z0-9+/]+=*)$/u;
/** Ed25519 public key in SubjectPublicKeyInfo (RFC 8410 section 4), without the 32 bytes of the key that follow. */
const spkiPrefix = Buffer.from('302a300506032b6570032100', 'hex');

/** What a note is verified with: the name of a key, and the key. */
export interface NoteVerifier {
  readonly name: string;
  /** Ed25519, 32 bytes (RFC 8032). */
  readonly publicKey: Uint8Array;
}

/** First 4 bytes of SHA-256 over name, line feed, signature type and public key. */
function keyIdOf({ name, publicKey }: NoteVerifier): Buffer {
  const input = Buffer.concat([Buffer.from(`${name}\n`), Buffer.of(ed25519), publicKey]);
  return hash('sha256', input, 'buffer').subarray(0, 4);
}

/** `<name>+<key id in hex>+<base64 of signature type and public key>`: the form in which Go's and other tools take keys. */
export function formatVerifierKey(verifier: NoteVerifier): string {
  const key = Buffer.concat([Buffer.of(ed25519), verifier.publicKey]).toString('base64');
  return `${verifier.name}+${keyIdOf(verifier).toString('hex')}+${key}`;
}

/** @throws AuditError `text` is no verifier key of Ed25519 */
export function parseVerifierKey(text: string): NoteVerifier {
  const match = /^([^\s+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+=*)$/u.exec(text.trim());
  const [, name = '', keyId = '', key = ''] = match ?? [];
  const [type, ...bytes] = Buffer.from(key, 'base64');
  const verifier = { name, publicKey: Uint8Array.from(bytes) };
  if (
    match === null ||
    type !== ed25519 ||
    bytes.length !== 32 ||
    keyIdOf(verifier).toString('hex') !== keyId
  ) {
    throw new AuditError(`${JSON.stringify(text.slice(0, 200))} is no verifier key (name+id+key, Ed25519)`);
  }
  return verifier;
}

/** @param text ends with a line feed */
export function signNote(text: string, verifier: NoteVerifier, privateKey: KeyObject): string {
  const signature = Buffer.concat([keyIdOf(verifier), sign(null, Buffer.from(text), privateKey)]);
  return `${text}\n— ${verifier.name} ${signature.toString('base64')}\n`;
}

/**
 * The text of a note that is signed by `verifier`. Signatures of other keys are passed over.
 *
 * @throws AuditError no signature by it, or one that does not fit
 */
export function openNote(note: string, verifier: NoteVerifier): string {
  const end = note.lastIndexOf('\n\n');
  if (end < 0 || !note.endsWith('\n')) throw new AuditError('the checkpoint is not a signed note');
  const text = note.slice(0, end + 1);
  const publicKey = createPublicKey({
    key: Buffer.concat([spkiPrefix, verifier.publicKey]),
    format: 'der',
    type: 'spki',
  });
  const keyId = keyIdOf(verifier);
  for (const line of note.slice(end + 2, -1).split('\n')) {
    const { name, signature = '' } = signatureLine.exec(line)?.groups ?? {};
    const bytes = Buffer.from(signature, 'base64');
    if (name !== verifier.name || !bytes.subarray(0, 4).equals(keyId)) continue;
    if (verify(null, Buffer.from(text), publicKey, bytes.subarray(4))) return text;
    throw new AuditError(`the signature by ${verifier.name} does not fit the checkpoint`);
  }
  throw new AuditError(`the checkpoint is not signed by ${formatVerifierKey(verifier)}`);
}
