/** File systems of the test's own, which only root can mount: small enough to be full, or in an image to be copied. */
import { spawnSync } from 'node:child_process'
import { appendFileSync, mkdirSync, statfsSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export interface SmallDisk {
  readonly path: string
  /** Leaves no byte free. */
  fill(): void
  /** Gives all of it back. */
  free(): void
  unmount(): void
}

function run(command: string, ...args: readonly string[]): void {
  const { status, stderr, error } = spawnSync(command, args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${stderr ?? error?.message}`)
}

/** @param options.image a file with ext4 in it is mounted, made when it is empty; without it, memory */
export function mountDisk(path: string, options: { bytes: number; image?: string }): SmallDisk {
  mkdirSync(path, { recursive: true })
  if (options.image === undefined) run('mount', '-t', 'tmpfs', '-o', `size=${options.bytes}`, 'tmpfs', path)
  else {
    writeFileSync(options.image, '')
    truncateSync(options.image, options.bytes)
    run('mkfs.ext4', '-q', '-F', '-m', '0', options.image)
    run('mount', '-o', 'loop', options.image, path)
  }
  const filler = join(path, 'filler')
  return {
    path,
    fill() {
      // Others write meanwhile, so it is full when it says so.
      const { blocks, bsize } = statfsSync(path)
      for (let block = 0; block < blocks; block++) {
        try {
          appendFileSync(filler, Buffer.alloc(bsize))
        } catch {
          return
        }
      }
    },
    free: () => truncateSync(filler, 0),
    unmount: () => run('umount', path),
  }
}

/** Mounts a copy of an image; what the kernel has to mend in it, it does. */
export function mountCopy(image: string, path: string): { unmount(): void } {
  mkdirSync(path, { recursive: true })
  run('mount', '-o', 'loop', image, path)
  return { unmount: () => run('umount', path) }
}

/** Whether this process may mount at all. */
export function canMount(folder: string): boolean {
  try {
    mountDisk(folder, { bytes: 1024 * 1024 }).unmount()
    return true
  } catch {
    return false
  }
}
