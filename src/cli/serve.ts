import { resolve } from 'node:path';
import closeWithGrace from 'close-with-grace';
import { UnreadableEventError } from '../eventstore/errors.ts';
import { isDamage } from '../eventstore/sqlite/damage.ts';
import { type Service, type ServiceConfig, startService } from '../service.ts';
import { banner } from './banner.ts';
import { isExpected } from './expected-errors.ts';
import { serviceLog } from './service-log.ts';
import { masterKeyOf, serveOptions, tlsCredentialsOf } from './settings.ts';

export interface ServeSettings extends Omit<ServiceConfig, 'masterKey' | 'previousMasterKey' | 'tls'> {
  readonly masterKey?: string | undefined;
  readonly previousMasterKey?: string | undefined;
  readonly tlsCert?: string | undefined;
  readonly tlsKey?: string | undefined;
  readonly logLevel: string;
}

/** In milliseconds: how long requests under way may take to finish after a signal. */
const gracePeriod = 10_000;

/** Runs the service until SIGTERM or SIGINT. Logs to standard output; people are told on standard error. */
export async function serve(settings: ServeSettings): Promise<void> {
  const log = serviceLog(settings.logLevel);
  const { logger } = log;
  const isTerminal = process.stderr.isTTY === true;
  const progress = isTerminal ? (await import('./rebuild-progress.ts')).rebuildProgress() : undefined;

  let service: Service;
  try {
    service = await startService(
      {
        ...settings,
        dataDir: resolve(settings.dataDir),
        masterKey: masterKeyOf(settings.masterKey),
        tls: tlsCredentialsOf(settings.tlsCert, settings.tlsKey),
        previousMasterKey: masterKeyOf(settings.previousMasterKey, serveOptions.previousMasterKey),
      },
      { logger, ...(progress && { onCatchUp: progress.update }) },
    );
  } catch (error) {
    const reason = reasonNotToStart(error);
    if (reason === undefined) throw error;
    process.stderr.write(`keyturn: ${reason}\n`);
    process.exitCode = 1;
    return;
  } finally {
    progress?.stop();
  }

  logger.info({ url: service.url, issuer: service.issuer, isNew: service.isNew }, 'serving');
  log.flush();
  if (isTerminal || service.isNew) process.stderr.write(banner(service));

  // Also takes every error that nobody handles, `service.finished` among them: the process then ends with status 1.
  closeWithGrace({ delay: gracePeriod, logger }, async ({ signal, err }) => {
    if (err) logger.fatal({ err }, 'stopping after an error');
    else logger.info({ signal }, 'stopping');
    try {
      await service.close();
      logger.info('stopped');
    } finally {
      await log.close();
    }
  });
}

/** What a person can mend; undefined for everything else. */
function reasonNotToStart(error: unknown): string | undefined {
  if (isExpected(error)) {
    const isDamaged = error.name === UnreadableEventError.name;
    return isDamaged ? `${error.message}: keyturn verify tells what else is damaged` : error.message;
  }
  // A damaged read model would have been built anew.
  if (isDamage(error)) return `a file in the data directory is damaged, a backup is needed: ${error.message}`;
  if (!(error instanceof Error) || !('code' in error)) return undefined;
  if (error.code === 'EADDRINUSE')
    return `another program listens there already (${error.message}): choose another --port`;
  if (['EACCES', 'ENOTDIR', 'EROFS', 'EADDRNOTAVAIL', 'ENOTFOUND'].includes(String(error.code)))
    return error.message;
  return undefined;
}
