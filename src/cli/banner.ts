import { relative } from 'node:path';
import { styleText } from 'node:util';

export interface BannerContent {
  readonly issuer: string;
  readonly isNew: boolean;
  readonly adminCredentialsFile: string;
}

/** What a person sees when the service has started: where it is, and the next commands to paste. */
export function banner({ issuer, isNew, adminCredentialsFile }: BannerContent): string {
  const file = shortest(adminCredentialsFile);
  const lines = [
    styleText('bold', `Keyturn is ready at ${issuer}`, { stream: process.stderr }),
    ...(isNew ? [`A new instance. The admin's credentials are in ${file}: keep that file safe.`] : []),
    '',
    ...(isNew ? nextCommands(issuer, file) : []),
    'Stop it with ctrl-C.',
  ];
  return `\n${lines.join('\n')}\n\n`;
}

function shortest(path: string): string {
  const fromHere = relative(process.cwd(), path);
  return fromHere.startsWith('..') ? path : fromHere;
}

function nextCommands(issuer: string, file: string): string[] {
  const json = (field: string) => `node -p 'JSON.parse(fs.readFileSync(0)).${field}'`;
  return [
    'Next, in another terminal, get a token, add a machine user and set its secret:',
    '',
    `  SECRET=$(${json('clientSecret')} < "${file}")`,
    `  TOKEN=$(curl -s -u "admin:$SECRET" ${issuer}/oauth/v2/token \\`,
    `    -d grant_type=client_credentials -d 'scope=openid urn:zitadel:iam:org:project:id:zitadel:aud' \\`,
    `    | ${json('access_token')})`,
    '',
    `  USER_ID=$(curl -s -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' \\`,
    `    ${issuer}/management/v1/users/machine -d '{"userName":"robot","name":"Robot"}' \\`,
    `    | ${json('userId')})`,
    '',
    `  curl -s -X PUT -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' \\`,
    `    ${issuer}/management/v1/users/$USER_ID/secret -d '{}'`,
    '',
  ];
}
