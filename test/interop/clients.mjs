/**
 * Clients as their users write them, in a process that trusts our authority by NODE_EXTRA_CA_CERTS: each gets a token,
 * and says how a wrong secret is refused. Orders come and answers go by the process's channel.
 */
import { createPrivateKey } from 'node:crypto'
import { OAuth2Client } from '@badgateway/oauth2-client'
import { createManagementAuth } from 'auth0'
import { AuthenticationClient } from 'auth0/legacy'
import * as oauth from 'oauth4webapi'
import * as openid from 'openid-client'
import { ClientCredentials } from 'simple-oauth2'

/** Which of the ways to get a token; each as its documentation shows it. */
const ways = {
  async 'oauth4webapi, client_secret_basic'({ issuer, audience, id, secret }) {
    return viaOauth4webapi(issuer, audience, id, oauth.ClientSecretBasic(secret))
  },
  async 'oauth4webapi, client_secret_post'({ issuer, audience, id, secret }) {
    return viaOauth4webapi(issuer, audience, id, oauth.ClientSecretPost(secret))
  },
  async 'oauth4webapi, private_key_jwt with ES256'({ issuer, audience, keys }) {
    const key = await imported(keys.ES256, { name: 'ECDSA', namedCurve: 'P-256' })
    return viaOauth4webapi(issuer, audience, 'key-ES256', oauth.PrivateKeyJwt(key))
  },
  async 'oauth4webapi, private_key_jwt with EdDSA'({ issuer, audience, keys }) {
    const key = await imported(keys.EdDSA, { name: 'Ed25519' })
    return viaOauth4webapi(issuer, audience, 'key-EdDSA', oauth.PrivateKeyJwt(key))
  },
  async 'oauth4webapi, private_key_jwt with PS256'({ issuer, audience, keys }) {
    const key = await imported(keys.RSA, { name: 'RSA-PSS', hash: 'SHA-256' })
    return viaOauth4webapi(issuer, audience, 'key-RSA', oauth.PrivateKeyJwt(key))
  },
  async 'openid-client'({ issuer, audience, id, secret }) {
    const config = await openid.discovery(new URL(issuer), id, secret)
    const { access_token } = await openid.clientCredentialsGrant(config, { audience, scope: 'read:tariffs' })
    return access_token
  },
  async 'openid-client, private_key_jwt with RS256, resource'({ issuer, audience, keys }) {
    const key = await imported(keys.RSA, { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' })
    const config = await openid.discovery(new URL(issuer), 'key-RSA', undefined, openid.PrivateKeyJwt(key))
    const { access_token } = await openid.clientCredentialsGrant(config, { resource: audience })
    return access_token
  },
  async 'simple-oauth2, header'({ issuer, audience, id, secret }) {
    return viaSimpleOauth2({ issuer, audience, id, secret }, { authorizationMethod: 'header' })
  },
  async 'simple-oauth2, JSON body'({ issuer, audience, id, secret }) {
    return viaSimpleOauth2(
      { issuer, audience, id, secret },
      { authorizationMethod: 'body', bodyFormat: 'json' },
    )
  },
  async '@badgateway/oauth2-client'({ issuer, audience, id, secret }) {
    const client = new OAuth2Client({ server: issuer, clientId: id, clientSecret: secret })
    const { accessToken } = await client.clientCredentials({ scope: ['read:tariffs'], resource: audience })
    return accessToken
  },
  async 'auth0, its own management'({ issuer, audience, id, secret }) {
    const domain = new URL(issuer).host
    return createManagementAuth({ domain, audience, clientId: id, clientSecret: secret }).getToken()
  },
  async 'auth0, secret'({ issuer, audience, id, secret }) {
    const auth0 = new AuthenticationClient({
      domain: new URL(issuer).host,
      clientId: id,
      clientSecret: secret,
    })
    const { data } = await auth0.oauth.clientCredentialsGrant({ audience })
    return data.access_token
  },
  async 'auth0, private_key_jwt'({ issuer, audience, keys }) {
    const auth0 = new AuthenticationClient({
      domain: new URL(issuer).host,
      clientId: 'key-RSA',
      clientAssertionSigningKey: createPrivateKey({ key: keys.RSA, format: 'jwk' }).export({
        type: 'pkcs8',
        format: 'pem',
      }),
      clientAssertionSigningAlg: 'RS256',
    })
    const { data } = await auth0.oauth.clientCredentialsGrant({ audience })
    return data.access_token
  },
}

function imported(jwk, algorithm) {
  return crypto.subtle.importKey('jwk', jwk, algorithm, false, ['sign'])
}

async function viaOauth4webapi(issuer, audience, id, authentication) {
  const url = new URL(issuer)
  const server = await oauth.processDiscoveryResponse(
    url,
    await oauth.discoveryRequest(url, { algorithm: 'oauth2' }),
  )
  const client = { client_id: id }
  const response = await oauth.clientCredentialsGrantRequest(
    server,
    client,
    authentication,
    new URLSearchParams({ audience, scope: 'read:tariffs' }),
  )
  const { access_token } = await oauth.processClientCredentialsResponse(server, client, response)
  return access_token
}

async function viaSimpleOauth2({ issuer, audience, id, secret }, options) {
  const client = new ClientCredentials({
    client: { id, secret },
    auth: { tokenHost: issuer.replace(/\/$/, '') },
    options,
  })
  const { token } = await client.getToken({ audience, scope: 'read:tariffs' })
  return token.access_token
}

/** Each library has its own place for what the server said. */
async function refusalOf(error) {
  // oauth4webapi and openid-client hand the whole answer on, where it has a challenge.
  if (error.response instanceof Response && !error.response.bodyUsed)
    return (await error.response.json()).error
  return error.oauth2Code ?? error.error ?? error.data?.payload?.error ?? bodyOf(error) ?? String(error)
}

/** What auth0 7 keeps as text. */
function bodyOf({ body }) {
  return typeof body === 'string' ? JSON.parse(body).error : body?.error
}

process.on('message', async (order) => {
  const answers = {}
  for (const [name, way] of Object.entries(ways)) {
    if (order.only !== undefined && !order.only.includes(name)) continue
    try {
      answers[name] = { token: await way(order) }
    } catch (error) {
      answers[name] = { error: await refusalOf(error) }
    }
  }
  process.send({ answers })
})
process.send('ready')
