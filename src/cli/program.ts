import { Command } from '@commander-js/extra-typings';
import { version } from '../package-version.ts';
import { addAuditCommands } from './audit-commands.ts';
import { addEraseCommand } from './erase.ts';
import { addEventsCommands } from './events-commands.ts';
import { addKeysCommands } from './keys.ts';
import { addMoveCommands } from './move-commands.ts';
import { addRotationCommands } from './rotation-commands.ts';
import { serveOptions } from './settings.ts';
import { lowerThreadPool, sizeThreadPool } from './thread-pool.ts';
import { allocateYoung } from './young-allocation.ts';

const program = new Command('keyturn')
  .description('Issues, rotates and audits the client secrets of machine users.')
  .version(version);

program
  .command('serve')
  .description('run the service')
  .addOption(serveOptions.host)
  .addOption(serveOptions.port)
  .addOption(serveOptions.dataDir)
  .addOption(serveOptions.eventStore)
  .addOption(serveOptions.externalUrl)
  .addOption(serveOptions.masterKey)
  .addOption(serveOptions.previousMasterKey)
  .addOption(serveOptions.bcryptCost)
  .addOption(serveOptions.hashQueue)
  .addOption(serveOptions.credentialCheck)
  .addOption(serveOptions.accessTokenLifetime)
  .addOption(serveOptions.idTokenLifetime)
  .addOption(serveOptions.signingAlgorithm)
  .addOption(serveOptions.secretAnnouncements)
  .addOption(serveOptions.githubKeysUrl)
  .addOption(serveOptions.eventStreamsPerUser)
  .addOption(serveOptions.tlsCert)
  .addOption(serveOptions.tlsKey)
  .addOption(serveOptions.webhookAllowHttp)
  .addOption(serveOptions.webhookAllowedNetworks)
  .addOption(serveOptions.webhookDisableAfter)
  .addOption(serveOptions.failuresPerClient)
  .addOption(serveOptions.failuresPerSource)
  .addOption(serveOptions.trustedProxies)
  .addOption(serveOptions.signingKeyRotation)
  .addOption(serveOptions.checkpointInterval)
  .addOption(serveOptions.logLevel)
  .addHelpText(
    'after',
    '\nA .env file in the working directory is read; the environment and flags go before it.',
  )
  .action(async (settings) => {
    sizeThreadPool();
    await lowerThreadPool();
    const { serve } = await import('./serve.ts');
    allocateYoung();
    await serve(settings);
  });

program
  .command('demo')
  .description('show the main job on a throw-away instance')
  .action(async () => (await import('./demo.ts')).demo());

addAuditCommands(program);
addEraseCommand(program);
addEventsCommands(program);
addKeysCommands(program);
addMoveCommands(program);
addRotationCommands(program);

await program.parseAsync();
