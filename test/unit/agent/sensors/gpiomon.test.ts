import { describe, expect, it } from 'vitest'
import { chipsOf, gpiomonCommand, gpiomonVersion, parseEvent } from '../../../../agent/sensors/gpiomon.ts'

describe('libgpiod', () => {
  it('is told apart by its version, and others are not guessed at', () => {
    expect(gpiomonVersion('gpiomon (libgpiod) v1.6.3\nCopyright (C) 2017-2018')).toBe(1)
    expect(gpiomonVersion('gpiomon (libgpiod) v2.2.1\nCopyright (C) 2017-2023')).toBe(2)
    expect(gpiomonVersion('gpiomon (libgpiod) v3.0')).toBeUndefined()
    expect(gpiomonVersion('')).toBeUndefined()
  })

  it('finds a chip by its label, whatever number it has', () => {
    const chips = chipsOf('gpiochip0 [brcmvirt-gpio] (2 lines)\ngpiochip4 [pinctrl-rp1] (54 lines)\n')
    expect(chips.get('pinctrl-rp1')).toBe('gpiochip4')
    expect(chips.get('gpiochip0')).toBe('gpiochip0')
    expect(chips.get('pinctrl-bcm2711')).toBeUndefined()
  })

  it('is called in the words of its version', () => {
    const settings = { lines: [17, 27], bias: 'pull-up' } as const
    expect(gpiomonCommand(1, 'gpiochip0', settings).join(' ')).toBe(
      'gpiomon -b -B pull-up -F %e %o %s.%n gpiochip0 17 27',
    )
    expect(gpiomonCommand(2, 'gpiochip0', settings).join(' ')).toBe(
      'stdbuf -oL gpiomon -c gpiochip0 -b pull-up -F %e %o %S 17 27',
    )
  })

  it('is understood in both versions, which name falling edges differently', () => {
    expect(parseEvent(1, '1 17 1234.5000000')).toEqual({ line: 17, isHigh: true, atMs: 1_234_005 })
    expect(parseEvent(1, '0 17 1234.500000000')).toEqual({ line: 17, isHigh: false, atMs: 1_234_500 })
    expect(parseEvent(2, '1 17 1234.500000000')).toEqual({ line: 17, isHigh: true, atMs: 1_234_500 })
    expect(parseEvent(2, '2 17 1234.500000000')).toEqual({ line: 17, isHigh: false, atMs: 1_234_500 })
  })

  it.each(['', 'event: RISING EDGE offset: 17', '2 17 1.0', '1 17', '1 17 x.y'])('passes over %j', (text) => {
    expect(parseEvent(1, text)).toBeUndefined()
  })
})
