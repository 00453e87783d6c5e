/**
 * A certificate that is replaced while the program runs: on SIGHUP at once, and when one of the files has changed.
 * A pair that cannot be used leaves the one in use where it is, and the log says so. Connections that stand are not touched.
 */
import { unwatchFile, watchFile } from 'node:fs'
import { readTls, type TlsFiles } from './http.ts'
import type { Log } from './log.ts'

export interface TlsReloadOptions {
  readonly files: TlsFiles
  readonly log: Log
  /** Called with each pair that is good: for new connections. */
  readonly apply: (tls: ReturnType<typeof readTls>) => void
  /** How often the files are looked at. */
  readonly everyMs?: number
}

export function reloadTls({ files, log, apply, everyMs = 2000 }: TlsReloadOptions): { stop(): void } {
  let timer: NodeJS.Timeout | undefined
  let inUse = readTls(files)
  const reload = () => {
    timer = undefined
    try {
      const tls = readTls(files)
      if (tls.cert.equals(inUse.cert) && tls.key.equals(inUse.key)) return
      apply(tls)
      inUse = tls
      log.info('tls.reloaded', { certFile: files.certFile })
    } catch (error) {
      log.error('tls.reload_failed', { certFile: files.certFile, error })
    }
  }
  // Certificate and key are replaced one after the other: what is between is no pair.
  const soon = () => {
    clearTimeout(timer)
    timer = setTimeout(reload, everyMs)
    timer.unref()
  }
  const paths = [files.certFile, files.keyFile]
  for (const path of paths) watchFile(path, { interval: everyMs, persistent: false }, soon)
  process.on('SIGHUP', reload)
  return {
    stop() {
      clearTimeout(timer)
      process.off('SIGHUP', reload)
      for (const path of paths) unwatchFile(path, soon)
    },
  }
}
