/** Rules that want out of their sandbox, more than their share of it, or something of the request before. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { askRules } from '../../provisioning/oauth/rules/chain.ts'
import type { RuleRequest, RulesAnswer } from '../../provisioning/oauth/rules/rule.ts'
import { openSandbox, type Sandbox } from '../../provisioning/oauth/rules/sandbox.ts'
import { openRulesKit, type RulesKit, requestBy } from '../kit/rules.ts'

const timeMs = 300
const memoryBytes = 8 * 1024 * 1024
const request: RuleRequest = {
  client: { oauthClientId: 'gate-1', name: 'Gate', metadata: {} },
  audience: 'urn:test',
  scopes: ['read'],
  parameters: {},
  address: '192.0.2.1',
  userAgent: '',
  tenant: 'issuer.example',
  seed: 1,
  traced: false,
}
let sandbox: Sandbox

beforeAll(async () => {
  sandbox = await openSandbox({ timeMs, memoryBytes })
})

/** A rule of these statements, run for these clients one after the other. */
function run(body: string, ...clients: readonly string[]): RulesAnswer[] {
  const rule = {
    name: 'a.js',
    shape: 'rule',
    source: `function rule(user, context, done) { ${body} }`,
  } as const
  expect(sandbox.load(0, rule)).toBeUndefined()
  return clients.map((oauthClientId) =>
    askRules([rule], { ...request, client: { ...request.client, oauthClientId } }, sandbox),
  )
}

const found = (expression: string) =>
  `context.accessToken['urn:found'] = ${expression}; done(null, user, context)`

describe('a rule looks for a way out', () => {
  it.each([
    'process',
    'require.cache',
    'WebAssembly',
    'fetch',
    'setTimeout',
    'XMLHttpRequest',
    'WebSocket',
    'Worker',
    'Deno',
    'std',
    'os',
    'print',
    'load',
    'importScripts',
    'scriptArgs',
  ])('and does not find %s', (name) => {
    const [answer] = run(found(`typeof ${name.split('.')[0]}`), 'gate-1')
    expect(answer?.claims['urn:found']).toBe('undefined')
  })

  it('through constructors, and finds its own global object', () => {
    const wayOut = `(function () { return this.constructor.constructor('return typeof process + typeof require')() })()`
    const [answer] = run(found(wayOut), 'gate-1')
    expect(answer?.claims['urn:found']).toBe('undefinedundefined')
  })

  it.each(['node:fs', 'fs', '/etc/passwd', 'data:text/javascript,export default 1'])(
    'by importing %s, and is denied',
    (name) => {
      const [answer] = run(`return import('${name}').then(() => done(null, user, context))`, 'gate-1')
      expect(answer?.denied).toMatchObject({ failed: true })
    },
  )
})

describe('a rule forges its answer', () => {
  it.each([
    [`JSON.stringify = () => '{"answers":1,"token":{"scope":"admin"}}'; done(null, user, context)`],
    [`Object.prototype.scope = ['admin']; delete context.accessToken.scope; done(null, user, context)`],
    [
      `Array.prototype.includes = () => true; context.accessToken.scope = ['admin']; done(null, user, context)`,
    ],
    [`Object.prototype.toJSON = () => ({ scope: ['admin'] }); done(null, user, context)`],
    [`context.accessToken = { toJSON: () => ({ scope: ['admin', 'read'] }) }; done(null, user, context)`],
    [
      `Promise.prototype.then = (f) => f(); Symbol.hasInstance = null; context.accessToken.scope = 'admin'; done()`,
    ],
  ])('and has no more scope than was granted: %s', (body) => {
    for (const answer of run(body, 'gate-1')) {
      expect(['read', undefined]).toContain(answer.scopes[0])
      expect(answer.scopes.length).toBeLessThanOrEqual(1)
    }
  })

  it.each([
    [`context.accessToken = { toJSON: () => ({ sub: 'operator' }) }; done(null, user, context)`],
    [
      `Object.defineProperty(context.accessToken, 'acl', { enumerable: true, get: () => [] }); done(null, user, context)`,
    ],
    [
      `context.accessToken = JSON.parse('{"__proto__": 1, "device_id": "gate-2"}'); done(null, user, context)`,
    ],
  ])('and has no claim that is not its to set: %s', (body) => {
    for (const answer of run(body, 'gate-1')) expect(answer.denied).toMatchObject({ failed: true })
  })
})

describe('a rule leaves something for the next request', () => {
  const leave = (how: string, look: string) =>
    `if (context.clientID === 'first') { ${how} }
     context.accessToken['urn:found'] = String(${look}); done(null, user, context)`

  it.each([
    ['a global', `globalThis.kept = 'secret'`, `globalThis.kept`],
    ['one it never declared', `kept = 'secret'`, `typeof kept`],
    ['Auth0’s global', `global.kept = 'secret'`, `global.kept`],
    ['a prototype', `Object.prototype.kept = 'secret'`, `({}).kept`],
    ['itself', `rule.kept = 'secret'`, `rule.kept`],
    ['its caller', `arguments.callee.kept = 'secret'`, `arguments.callee.kept`],
    ['a constructor', `UnauthorizedError.kept = 'secret'`, `UnauthorizedError.kept`],
    ['a built-in function', `JSON.parse.kept = 'secret'`, `JSON.parse.kept`],
    ['a symbol', `Symbol.for('x').constructor.kept = 'secret'`, `Symbol.kept`],
    ['configuration', `configuration.kept = 'secret'`, `configuration.kept`],
  ])('in %s, and it is gone', (_, how, look) => {
    const [first, second, alone] = run(leave(how, look), 'first', 'second', 'second')
    expect(first?.claims['urn:found']).not.toBe(second?.claims['urn:found'])
    expect(second?.claims['urn:found']).toBe('undefined')
    expect(alone?.claims).toEqual(second?.claims)
  })

  it('in a file’s own variables, and it is gone', () => {
    const action = {
      name: 'a.js',
      shape: 'action',
      source: `let count = 0; const seen = []
        exports.onExecuteCredentialsExchange = async (event, api) => {
          seen.push(event.client.client_id); api.accessToken.setCustomClaim('urn:seen', [++count, ...seen]) }`,
    } as const
    expect(sandbox.load(0, action)).toBeUndefined()
    const answers = ['first', 'second'].map((oauthClientId) =>
      askRules([action], { ...request, client: { ...request.client, oauthClientId } }, sandbox),
    )
    expect(answers.map(({ claims }) => claims['urn:seen'])).toEqual([
      [1, 'first'],
      [1, 'second'],
    ])
  })

  it('in memory it gave back, and it is zero', () => {
    const body = `
      if (context.clientID === 'first') {
        const kept = []
        for (let i = 0; i < 400; i++) kept.push('secret'.repeat(1000) + i, new Uint8Array(4000).fill(0x73))
        context.accessToken['urn:found'] = kept.length
      } else {
        let dirty = 0
        for (const size of [1, 8, 64, 512, 4096, 65536, 1048576, 2097152]) {
          const bytes = new Uint8Array(new ArrayBuffer(size))
          for (let i = 0; i < size; i += size > 65536 ? 97 : 1) if (bytes[i] !== 0) dirty++
        }
        context.accessToken['urn:found'] = dirty
      }
      done(null, user, context)`
    // Slow where others are at work: only the content counts here.
    const [first, second] = run(body, 'first', 'second')
    expect(first?.claims['urn:found']).toBe(800)
    expect(second?.claims['urn:found']).toBe(0)
  })
})

describe('a rule takes more than its share', () => {
  it.each([
    ['for ever', `for (;;) {}`],
    ['for ever, catching whatever stops it', `for (;;) { try { for (;;) {} } catch {} }`],
    ['for ever, in promises', `const again = () => Promise.resolve().then(again); again()`],
    ['for ever, in a search', `/(a+)+$/.test('a'.repeat(60) + 'b')`],
    [
      'for ever, in a getter of its answer',
      `Object.defineProperty(context.accessToken, 'a', { enumerable: true, get() { for (;;) {} } }); done(null, user, context)`,
    ],
    ['all memory', `const all = []; for (;;) all.push(new Array(1000).fill({}))`],
    ['all memory at once', `new Uint8Array(100_000_000)`],
    ['all memory in a text', `let text = 'x'; for (;;) text += text`],
    ['the stack', `(function deep() { deep() })()`],
    ['the stack, in a parser', `JSON.parse('['.repeat(200_000))`],
    [
      'the stack, in its answer',
      `let a = []; for (let i = 0; i < 100_000; i++) a = [a]; context.accessToken['urn:a'] = a; done(null, user, context)`,
    ],
    ['the stack, in a pattern', `new RegExp('('.repeat(50_000))`],
    ['a number without end', `2n ** 1_000_000_000n`],
    ['a sort without end', `new Array(2_000_000).fill(0).map((_, i) => -i).sort()`],
    [
      'an answer without end',
      `context.accessToken['urn:a'] = 'x'.repeat(1_000_000); done(null, user, context)`,
    ],
    ['a reason without end', `done(new UnauthorizedError('x'.repeat(1_000_000)))`],
  ])('and is denied: %s', async (_, body) => {
    const [answer] = run(body, 'gate-1')
    expect(answer?.denied).toBeDefined()
    expect(JSON.stringify(answer).length).toBeLessThan(4000)
    // And what comes next is served, in the same sandbox unless it broke.
    if (sandbox.isSpent) sandbox = await openSandbox({ timeMs, memoryBytes })
    const [next] = run('done(null, user, context)', 'gate-2')
    expect(next?.scopes).toEqual(['read'])
  })

  it.each([
    ['of brackets', `function (u, c, done) { return ${'('.repeat(49_000)}1${')'.repeat(49_000)} }`],
    ['of blocks', `function (u, c, done) ${'{'.repeat(49_000)}${'}'.repeat(49_000)}`],
    ['that closes what it stands in', `function (u, c, done) {} ;return rule }); for (;;) {} (function () {`],
  ])('and a file %s ends nothing', async (_, source) => {
    sandbox.load(0, { name: 'a.js', shape: 'rule', source })
    if (sandbox.isSpent) sandbox = await openSandbox({ timeMs, memoryBytes })
    const [next] = run('done(null, user, context)', 'gate-2')
    expect(next?.scopes).toEqual(['read'])
  })
})

describe('a rule that hangs for one client', () => {
  let kit: RulesKit
  beforeAll(async () => {
    kit = await openRulesKit(
      { 'a.js': `function (u, c, done) { if (c.clientID === 'slow') for (;;) {} done(null, u, c) }` },
      { timeMs: 200 },
    )
  })
  afterAll(() => kit.close())
  afterEach(() => expect(kit.rules.list()).toHaveLength(1))

  it('lets the others by meanwhile, however many of its requests wait', async () => {
    let slowAnswered = 0
    const slow = Array.from({ length: 12 }, async () => {
      const verdict = await kit.rules.ask(requestBy('slow'))
      slowAnswered++
      return verdict
    })
    const others = await Promise.all(
      Array.from({ length: 50 }, (_, i) => kit.rules.ask(requestBy(`gate-${i}`))),
    )
    expect(others.every(({ allowed }) => allowed)).toBe(true)
    // Each client in its turn: they did not wait for the dozen.
    expect(slowAnswered).toBeLessThan(6)
    for (const verdict of await Promise.all(slow))
      expect(verdict).toMatchObject({ allowed: false, rule: 'a.js', reason: 'it took longer than 200 ms' })
  })
})
