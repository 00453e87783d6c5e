/** The recordings of a process: each is read once, however many devices play it. */
import type { ReplaySensor } from '../../core/contract/fleet.ts'
import type { Log } from '../../core/runtime/log.ts'
import { createZone } from '../zone.ts'
import { type Recording, readRecording } from './recording.ts'

export function createRecordings(log: Log) {
  const readings = new Map<string, Promise<Recording>>()
  let broken = 0
  return {
    brokenLines: () => broken,
    of({ file, columns, tz }: ReplaySensor): Promise<Recording> {
      const key = JSON.stringify([file, columns, tz])
      let reading = readings.get(key)
      if (reading === undefined) {
        reading = readRecording(file, {
          columns,
          zone: createZone(tz),
          onBrokenLine: ({ line, fault }) => {
            broken++
            log.warn('replay.line_broken', { file, line, fault })
          },
        })
        readings.set(key, reading)
      }
      return reading
    },
  }
}
