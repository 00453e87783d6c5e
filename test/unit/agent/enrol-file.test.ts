import { describe, expect, it } from 'vitest'
import { parseEnrolFile } from '../../../agent/enrol-file.ts'

const pem = '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----'

describe('the enrolment file', () => {
  it('is read whatever computer it was written on', () => {
    const text = `\uFEFF# gate\r\nurl = https://lots.example:8081\r\nkey=lotenr_x\r\nname=Gate 1\r\n\r\n${pem.replaceAll('\n', '\r\n')}\r\n`
    expect(parseEnrolFile(text)).toEqual({
      url: 'https://lots.example:8081',
      key: 'lotenr_x',
      name: 'Gate 1',
      ca: `${pem}\n`,
    })
  })

  it('needs no more than a URL, and takes nothing empty for something', () => {
    expect(parseEnrolFile('url=https://a.example\nkey=\ndevice=gate-1')).toEqual({
      url: 'https://a.example',
      device: 'gate-1',
    })
  })

  it('names every fault, and never a value', () => {
    const text = 'key=lotenr_secret\nkey=lotenr_other\nkye=lotenr_secret\nlotenr_secret'
    let faults: readonly string[] = []
    try {
      parseEnrolFile(text)
    } catch (error) {
      ;({ faults } = error as { faults: readonly string[] })
    }
    expect(faults).toHaveLength(4)
    expect(faults.join()).not.toContain('secret')
  })
})
