/**
 * The peer of the token benchmark: npm's `oidc-provider` with client credentials alone, ES256 access tokens in the
 * profile of RFC 9068 for one resource, and the same clients in memory. Every client is looked up once before it says
 * that it is ready, so that its cache of clients is as warm as it can be. A process of its own.
 */
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, generateKeyPair } from 'jose'
import Provider from 'oidc-provider'

export interface PeerOrder {
  /** Lines of `oauthClientId:secret`. */
  readonly credentialsFile: string
  readonly audience: string
  readonly scope: string
}

async function run({ credentialsFile, audience, scope }: PeerOrder): Promise<void> {
  const { privateKey } = await generateKeyPair('ES256', { extractable: true })
  const clients = readFileSync(credentialsFile, 'latin1')
    .trimEnd()
    .split('\n')
    .map((line) => {
      const [client_id = '', client_secret = ''] = line.split(':')
      return {
        client_id,
        client_secret,
        grant_types: ['client_credentials'],
        redirect_uris: [],
        response_types: [],
        token_endpoint_auth_method: 'client_secret_basic',
        // No id token is ever made; its default, RS256, is refused without such a key.
        id_token_signed_response_alg: 'ES256',
        scope,
      }
    })
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const provider = new Provider(`http://127.0.0.1:${port}`, {
    clients,
    scopes: scope.split(' '),
    jwks: { keys: [{ ...(await exportJWK(privateKey)), alg: 'ES256', use: 'sig' }] },
    clientAuthMethods: ['client_secret_basic'],
    responseTypes: [],
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      userinfo: { enabled: false },
      rpInitiatedLogout: { enabled: false },
      pushedAuthorizationRequests: { enabled: false },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => audience,
        getResourceServerInfo: () => ({
          scope,
          audience,
          accessTokenTTL: 3600,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: 'ES256' } },
        }),
      },
    },
  })
  server.on('request', provider.callback())
  for (const { client_id } of clients) await provider.Client.find(client_id)
  process.send?.({ port })
}

process.once('message', (order: PeerOrder) => {
  void run(order)
  process.on('message', (message: { do: string }) => {
    if (message.do === 'stop') process.exit(0)
  })
})
