import type { FastifyInstance, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { type GithubSignatures, SignatureKeysUnavailableError } from '../../application/github-signatures.ts';
import type { LeakReport, Leaks } from '../../application/leaks.ts';
import { KeyturnError } from '../../domain/errors.ts';
import { originOf } from '../../domain/event-metadata.ts';
import { singleHeader } from '../single-header.ts';

export interface LeakDependencies {
  readonly leaks: Leaks;
  readonly githubSignatures: GithubSignatures;
}

const source = z.string().min(1).max(100);
const url = z.string().max(2000);
const token = z.string().min(1).max(500);

const ownReport = z.object({ secret: token, source: source.default('report'), url: url.optional() });

/** What GitHub sends to partners: https://docs.github.com/code-security/secret-scanning/secret-scanning-partner-program */
const githubReport = z
  .array(z.object({ token, type: z.string().max(200), url: url.nullish(), source: source.nullish() }))
  .min(1)
  .max(1000);

/** Secrets that were found where they should not be. `docs/leaks.md` describes the forms. */
export async function leakRoutes(
  app: FastifyInstance,
  { leaks, githubSignatures }: LeakDependencies,
): Promise<void> {
  app.removeAllContentTypeParsers();
  // Text: the signature is over the body as it was sent.
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (_request, body, done) =>
    done(null, body),
  );

  app.post('/keyturn/v1/leaks', async (request) => {
    const body = typeof request.body === 'string' ? request.body : '';
    const keyId = singleHeader(request.headers['github-public-key-identifier']);
    const signature = singleHeader(request.headers['github-public-key-signature']);
    if (keyId === undefined && signature === undefined) {
      const outcome = await report(leaks, read(ownReport, body), request);
      return { live: outcome.isLive, retired: outcome.isRetired };
    }
    await requireSignature(githubSignatures, body, keyId ?? '', signature ?? '');
    return answersToGithub(leaks, read(githubReport, body), request);
  });
}

/** In the form that GitHub learns from. */
async function answersToGithub(
  leaks: Leaks,
  reported: z.output<typeof githubReport>,
  request: FastifyRequest,
) {
  const answers: { token_raw: string; token_type: string; label: string }[] = [];
  for (const { token, type, url, source } of reported) {
    const found = {
      secret: token,
      source: source == null ? 'github' : `github: ${source}`,
      url: url ?? undefined,
    };
    const { isLive } = await report(leaks, found, request);
    answers.push({ token_raw: token, token_type: type, label: isLive ? 'true_positive' : 'false_positive' });
  }
  return answers;
}

function report(leaks: Leaks, found: LeakReport, request: FastifyRequest) {
  const { id, ip, headers } = request;
  const origin = originOf(ip, headers['user-agent']);
  return leaks.report(found, { editor: null, origin, correlationId: id, causationId: id });
}

/** @throws KeyturnError `SIGNATURE_INVALID`, `SIGNATURE_KEYS_UNAVAILABLE` */
async function requireSignature(
  signatures: GithubSignatures,
  body: string,
  keyId: string,
  signature: string,
): Promise<void> {
  try {
    if (!(await signatures.isValid(body, keyId, signature))) throw new KeyturnError('SIGNATURE_INVALID');
  } catch (error) {
    if (!(error instanceof SignatureKeysUnavailableError)) throw error;
    throw new KeyturnError('SIGNATURE_KEYS_UNAVAILABLE', { cause: error });
  }
}

/** Names what is wrong, never a value: it may be the secret. Throws KeyturnError `REQUEST_UNREADABLE`. */
function read<Report>(schema: z.ZodType<Report>, body: string): Report {
  let json: unknown;
  try {
    json = JSON.parse(body);
  } catch {
    throw new KeyturnError('REQUEST_UNREADABLE', { text: 'invalid request: it is not JSON' });
  }
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  const faults = result.error.issues.map(({ path, code }) => `${path.join('.') || 'body'}: ${code}`);
  throw new KeyturnError('REQUEST_UNREADABLE', { text: `invalid request: ${faults.slice(0, 5).join(', ')}` });
}
