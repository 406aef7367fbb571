import type { FastifyInstance } from 'fastify';
import type { OAuthDependencies } from './dependencies.ts';
import { answerIntrospection } from './introspection-endpoint.ts';
import { metadataDocument } from './metadata.ts';
import { answerOAuthError } from './oauth-error.ts';
import { oauthPaths } from './oauth-paths.ts';
import { answerRevocation } from './revocation-endpoint.ts';
import { takeForms } from './sent-form.ts';
import { answerTokenRequest } from './token-endpoint.ts';
import { answerUserinfo } from './userinfo-endpoint.ts';

/** The authorization server: its endpoints, keys and metadata. */
export async function oauthRoutes(app: FastifyInstance, dependencies: OAuthDependencies): Promise<void> {
  const { issuer, keyRing } = dependencies;
  takeForms(app);
  app.setErrorHandler(answerOAuthError);
  // RFC 6749 section 5.1; `cache-control` is on every answer of the server.
  app.addHook('onRequest', (_request, reply, done) => {
    reply.header('pragma', 'no-cache');
    done();
  });

  app.post(oauthPaths.token, (request) => answerTokenRequest(dependencies, request));
  app.post(oauthPaths.introspection, (request) => answerIntrospection(dependencies, request));
  app.post(oauthPaths.revocation, async (request, reply) => {
    await answerRevocation(dependencies, request);
    return reply.send();
  });
  for (const method of ['GET', 'POST'] as const) {
    app.route({
      method,
      url: oauthPaths.userinfo,
      handler: async (request) => answerUserinfo(dependencies, request),
    });
  }

  app.register(async (published) => {
    published.addHook('onRequest', async (_request, reply) => {
      reply.removeHeader('pragma').header('cache-control', 'public, max-age=300');
    });
    published.get(oauthPaths.jwks, async () => keyRing.jwks());
    for (const path of [oauthPaths.openidConfiguration, oauthPaths.authorizationServer]) {
      published.get(path, async () => metadataDocument(issuer(), keyRing));
    }
  });
}
