/** The agent's archive, built and unpacked. */
import { execFileSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { buildAgent } from '../../scripts/build-agent.mjs'

/** @param folder empty @returns its path, and that of the program in it */
export async function unpackAgent(folder: string): Promise<{ archive: string; program: string }> {
  const archive = await buildAgent()
  execFileSync('tar', ['-xzf', archive, '-C', folder])
  const [name = ''] = readdirSync(folder)
  return { archive, program: join(folder, name, 'lot-agent.mjs') }
}
