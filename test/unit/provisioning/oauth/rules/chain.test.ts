/** What rules do, in the sandbox they run in. */
import { beforeAll, describe, expect, it } from 'vitest'
import { askRules } from '../../../../../provisioning/oauth/rules/chain.ts'
import { type Rule, type RuleRequest, shapeOf } from '../../../../../provisioning/oauth/rules/rule.ts'
import { openSandbox, type Sandbox } from '../../../../../provisioning/oauth/rules/sandbox.ts'

/** As in Auth0's list of examples, to the letter. */
const wellKnown = `/**
 * @title Disable the resource owner endpoint
 */
function (user, context, callback) {
  if (context.clientID === "BANNED_CLIENT_ID") {
    return callback(new UnauthorizedError('Access to this application has been temporarily revoked'));
  }

  callback(null, user, context);
}
`

const timeMs = 2000
let sandbox: Sandbox
beforeAll(async () => {
  sandbox = await openSandbox({ timeMs, memoryBytes: 8 * 1024 * 1024 })
})

function ask(sources: Readonly<Record<string, string>>, more: Partial<RuleRequest> = {}) {
  const rules: Rule[] = Object.entries(sources).map(([name, source]) => ({
    name,
    source,
    shape: shapeOf(source),
  }))
  expect(rules.map((rule, place) => sandbox.load(place, rule))).toEqual(rules.map(() => undefined))
  return askRules(
    rules,
    {
      client: { oauthClientId: 'gate-1', name: 'Gate one', metadata: { site: 'north' } },
      audience: 'urn:test',
      scopes: ['read', 'write'],
      parameters: { grant_type: 'client_credentials', scope: 'read write' },
      address: '192.0.2.1',
      userAgent: 'curl/8',
      tenant: 'issuer.example',
      seed: 1,
      traced: false,
      ...more,
    },
    sandbox,
  )
}

const banned = { client: { oauthClientId: 'BANNED_CLIENT_ID', name: 'Banned', metadata: {} } }

describe('a Rule', () => {
  it('as Auth0 publishes it denies the banned client in its own words, and lets others by', () => {
    expect(ask({ 'banned.js': wellKnown })).toEqual({
      scopes: ['read', 'write'],
      claims: {},
      ran: ['banned.js'],
    })
    expect(ask({ 'banned.js': wellKnown }, banned).denied).toEqual({
      rule: 'banned.js',
      error: 'access_denied',
      why: expect.stringMatching(/temporarily revoked \(banned\.js:6:\d+\)$/),
      told: 'Access to this application has been temporarily revoked',
      failed: false,
    })
  })

  it('is told who asks for what, and that there is no user', () => {
    const source = `function (user, context, callback) {
      const { clientID, clientName, clientMetadata, protocol, audience, tenant, request, accessToken } = context
      const { ip, userAgent, body, query } = request
      const told = { user: typeof user, clientID, clientName, clientMetadata, protocol, audience, tenant, ip,
        userAgent, body, query, scope: [...accessToken.scope] }
      context.accessToken['urn:told'] = told
      callback(null, user, context)
    }`
    expect(ask({ 'tell.js': source }).claims).toEqual({
      'urn:told': {
        user: 'undefined',
        clientID: 'gate-1',
        clientName: 'Gate one',
        clientMetadata: { site: 'north' },
        protocol: 'oauth2-client-credentials',
        audience: 'urn:test',
        tenant: 'issuer.example',
        ip: '192.0.2.1',
        userAgent: 'curl/8',
        body: { grant_type: 'client_credentials', scope: 'read write' },
        query: {},
        scope: ['read', 'write'],
      },
    })
  })

  it.each([
    ['an arrow function', `(user, context, callback) => callback(null, user, context)`],
    [
      'an async function',
      `async function (user, context, callback) { await null; callback(null, user, context) }`,
    ],
    ['a name and a semicolon', `function named(user, context, callback) { callback(null, user, context); };`],
    ['comments around it', `// before\n/* and\nmore */\nfunction (u, c, done) { done(null, u, c) } // after`],
    ['globals it never declared', `function (u, c, done) { found = 1; if (found === 1) done(null, u, c) }`],
    ['the context left out', `function (user, context, callback) { callback() }`],
  ])('with %s is run as it is', (_, source) => {
    expect(ask({ 'a.js': source })).toEqual({ scopes: ['read', 'write'], claims: {}, ran: ['a.js'] })
  })

  it.each([
    ['a list', `['read']`, ['read']],
    ['a text', `'write'`, ['write']],
    ['nothing', `[]`, []],
    ['more than was granted', `['read', 'admin']`, ['read']],
    ['what is not there', `undefined`, ['read', 'write']],
  ])('makes the scopes fewer and never more: %s', (_, scope, left) => {
    const source = `function (u, c, done) { c.accessToken.scope = ${scope}; done(null, u, c) }`
    expect(ask({ 'a.js': source }).scopes).toEqual(left)
  })

  it.each([
    ...['iss', 'sub', 'aud', 'exp', 'nbf', 'iat', 'jti', 'client_id', 'azp', 'gty', 'cnf', 'permissions'],
    ...['device_id', 'acl', 'lots', 'cred', 'client_attrs', 'is_superuser'],
  ])('may not set %s', (claim) => {
    const source = `function (u, c, done) { c.accessToken['${claim}'] = 'x'; done(null, u, c) }`
    expect(ask({ 'a.js': source }).denied).toEqual({
      rule: 'a.js',
      error: 'server_error',
      why: `it sets the reserved claim ${claim}`,
      failed: true,
    })
  })

  it.each([
    ['throws', `throw new TypeError('no such thing')`, /TypeError: no such thing \(a\.js:1/],
    ['rejects', `return Promise.reject(new Error('later'))`, /Error: later/],
    ['answers twice', `done(null, u, c); done(null, u, c)`, /answered twice/],
    ['denies and allows', `done(new UnauthorizedError('no')); done(null, u, c)`, /answered twice/],
    ['never answers', `return 1`, /without an answer/],
    ['waits for what never comes', `return new Promise(() => {})`, /without an answer/],
    ['answers, then throws', `done(null, u, c); throw new Error('after')`, /Error: after/],
    ['answers with what is no JSON', `c.accessToken['urn:a'] = c; c.x = c; done(null, u, c)`, /no JSON/],
    ['answers with no token', `c.accessToken = 'mine'; done(null, u, c)`, /is no object/],
    ['asks for strange scopes', `c.accessToken.scope = [1]; done(null, u, c)`, /scope is neither/],
    ['adds too much', `c.accessToken['urn:a'] = 'x'.repeat(2000); done(null, u, c)`, /longer than/],
    ['adds a claim with a strange name', `c.accessToken['a\\nb'] = 1; done(null, u, c)`, /plain text/],
    ['asks for a module', `require('fs')`, /require/],
    ['calls for the network', `fetch('https://example.com')`, /fetch/],
  ] as const)('that %s denies, and says why', (_, body, why) => {
    expect(ask({ 'a.js': `function (u, c, done) { ${body} }` })).toMatchObject({
      denied: { rule: 'a.js', error: 'server_error', why: expect.stringMatching(why), failed: true },
    })
  })

  it('finds chance to be another each time, and the same for the same request', () => {
    const source = `function (u, c, done) { c.accessToken['urn:n'] = Math.random(); done(null, u, c) }`
    const drawn = [1, 2, 1].map((seed) => ask({ 'a.js': source }, { seed }).claims['urn:n'])
    expect(drawn[0]).toBe(drawn[2])
    expect(drawn[0]).not.toBe(drawn[1])
  })
})

describe('an Action', () => {
  it('adds claims, takes scopes away, and is told of request and client', () => {
    const source = `
      const prefix = 'https://lots.example/'
      exports.onExecuteCredentialsExchange = async (event, api) => {
        await null
        api.accessToken.setCustomClaim(prefix + 'site', event.client.metadata.site)
        api.accessToken.setCustomClaim(prefix + 'told', [event.client.client_id, event.request.ip,
          event.request.method, event.resource_server.identifier, event.transaction.requested_scopes.join()])
        if (event.accessToken.scope.includes('write')) api.transaction.removeTargetScope('write')
      }`
    expect(ask({ 'action.js': source })).toEqual({
      scopes: ['read'],
      claims: {
        'https://lots.example/site': 'north',
        'https://lots.example/told': ['gate-1', '192.0.2.1', 'POST', 'urn:test', 'read,write'],
      },
      ran: ['action.js'],
    })
  })

  it.each([
    ['invalid_scope', 'invalid_scope'],
    ['invalid_request', 'invalid_request'],
    ['server_error', 'server_error'],
    ['whatever', 'access_denied'],
  ])('denies with the code %s', (code, error) => {
    const source = `exports.onExecuteCredentialsExchange = async (event, api) => {
      api.access.deny('${code}', 'not today') }`
    const denied = { rule: 'a.js', error, why: 'not today', told: 'not today', failed: false }
    expect(ask({ 'a.js': source }).denied).toEqual(denied)
  })

  it('never widens the scopes', () => {
    const source = `exports.onExecuteCredentialsExchange = async (event, api) => {
      api.transaction.setTargetScopes(['admin', 'read']); api.accessToken.addScope('root') }`
    expect(ask({ 'a.js': source }, { traced: true })).toMatchObject({
      scopes: ['read'],
      trace: { beyond: ['admin', 'root'] },
    })
  })

  it.each([
    ['rejects', `async () => { throw new Error('inside') }`, /Error: inside/],
    ['never ends', `() => new Promise(() => {})`, /without an answer/],
    [
      'sets a reserved claim',
      `(e, api) => { api.accessToken.setCustomClaim('sub', 'x') }`,
      /reserved claim sub/,
    ],
  ])('that %s denies', (_, handler, why) => {
    const { denied } = ask({ 'a.js': `exports.onExecuteCredentialsExchange = ${handler}` })
    expect(denied).toMatchObject({ why: expect.stringMatching(why), failed: true })
  })
})

describe('several rules', () => {
  it('run in their order, each with what the one before it left', () => {
    const answer = ask({
      '10.js': `function (u, c, done) {
        c.mine = 'handed on'; c.accessToken['urn:first'] = 1; c.accessToken.scope = ['read']; done(null, u, c) }`,
      '15.js': `exports.onExecuteCredentialsExchange = async (event, api) => {
        api.accessToken.setCustomClaim('urn:action', event.accessToken.customClaims['urn:first']) }`,
      '20.js': `function (u, c, done) {
        c.accessToken['urn:seen'] = [c.mine, c.accessToken['urn:first'], c.accessToken.scope.join()]; done(null, u, c) }`,
    })
    expect(answer).toEqual({
      scopes: ['read'],
      claims: { 'urn:first': 1, 'urn:action': 1, 'urn:seen': ['handed on', 1, 'read'] },
      ran: ['10.js', '15.js', '20.js'],
    })
  })

  it('end with the first that denies', () => {
    const answer = ask({
      'a.js': `function (u, c, done) { done(new UnauthorizedError('first')) }`,
      'b.js': `function (u, c, done) { done(new UnauthorizedError('second')) }`,
    })
    expect(answer).toMatchObject({ ran: ['a.js'], denied: { rule: 'a.js', told: 'first' } })
  })
})

describe('a file', () => {
  it.each([
    ['that is no JavaScript', `function (user, context, callback { callback() }`, /SyntaxError/],
    ['that is something else', `{ a: 1 }`, /no function/],
    ['that exports nothing of the kind', `const onExecuteCredentialsExchange = 1`, /exports no function/],
    [
      'that throws while it is read',
      `exports.onExecuteCredentialsExchange = nothing.there`,
      /ReferenceError/,
    ],
    ['that never ends while it is read', `for (;;) {} // onExecuteCredentialsExchange`, /took longer/],
    ['that is an ES module', `export const onExecuteCredentialsExchange = async () => {}`, /SyntaxError/],
  ])('%s is none', (_, source, fault) => {
    expect(sandbox.load(0, { name: 'a.js', shape: shapeOf(source), source })).toMatch(fault)
    expect(ask({ 'a.js': wellKnown }).denied).toBeUndefined()
  })
})
