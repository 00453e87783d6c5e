import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseProxyHeader } from '../../../broker/proxy-protocol.ts'
import { proxyHeader } from '../../kit/proxy-header.ts'

describe('a PROXY header', () => {
  it('names the source of the connection, and how long it is itself', () => {
    const header = proxyHeader({ source: [203, 0, 113, 7] })
    expect(parseProxyHeader(header)).toEqual({ kind: 'complete', bytes: 28, source: '203.0.113.7' })
    const six = proxyHeader({
      family: 0x21,
      rest: Buffer.from(`20010db8${'00'.repeat(11)}01${'00'.repeat(20)}`, 'hex'),
    })
    expect(parseProxyHeader(six)).toEqual({ kind: 'complete', bytes: 52, source: '2001:db8:0:0:0:0:0:1' })
  })

  it('may carry more than addresses, which is skipped', () => {
    const rest = Buffer.concat([
      Buffer.from([203, 0, 113, 7, 127, 0, 0, 1, 0, 1, 0, 2]),
      Buffer.alloc(100, 0xee),
    ])
    expect(parseProxyHeader(proxyHeader({ rest }))).toMatchObject({ bytes: 128, source: '203.0.113.7' })
  })

  it('of the load balancer itself names nobody', () => {
    expect(parseProxyHeader(proxyHeader({ command: 0x20, family: 0, rest: Buffer.alloc(0) }))).toEqual({
      kind: 'complete',
      bytes: 16,
    })
  })

  it.each([
    ['of version 1', Buffer.from('PROXY TCP4 203.0.113.7 127.0.0.1 1 2\r\n')],
    ['of a version to come', proxyHeader({ command: 0x31 })],
    ['of an unknown command', proxyHeader({ command: 0x22 })],
    ['of datagrams', proxyHeader({ family: 0x12 })],
    ['of a socket in the file system', proxyHeader({ family: 0x31, rest: Buffer.alloc(216) })],
    ['of nobody’s connection', proxyHeader({ family: 0 })],
    ['too short for its addresses', proxyHeader({ rest: Buffer.alloc(11) })],
    ['longer than any', proxyHeader({ rest: Buffer.alloc(521) })],
    [
      'that is a CONNECT',
      Buffer.from([0x10, 0x0e, 0, 4, 0x4d, 0x51, 0x54, 0x54, 4, 2, 0, 60, 0, 2, 0x61, 0x62]),
    ],
  ])('%s is none', (_what, bytes) => {
    expect(parseProxyHeader(bytes)).toEqual({ kind: 'invalid' })
  })

  it('is waited for as long as it may become one, and no byte behind it belongs to it', () => {
    fc.assert(
      fc.property(fc.nat(27), fc.uint8Array({ maxLength: 64 }), (cut, behind) => {
        const header = proxyHeader({ source: [203, 0, 113, 7] })
        expect(parseProxyHeader(header.subarray(0, cut))).toEqual({ kind: 'incomplete' })
        expect(parseProxyHeader(Buffer.concat([header, behind]))).toMatchObject({
          kind: 'complete',
          bytes: 28,
        })
      }),
    )
  })

  it('never makes the parser throw', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 700 }), fc.boolean(), (bytes, isSigned) => {
        const whole = isSigned ? Buffer.concat([proxyHeader({}).subarray(0, 12), bytes]) : bytes
        expect(['incomplete', 'invalid', 'complete']).toContain(parseProxyHeader(whole).kind)
      }),
    )
  })
})
