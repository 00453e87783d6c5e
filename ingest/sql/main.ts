/** The process that answers one SELECT, as a program of its own: it is up in half the time that all of ingest would take. */
import { runSqlChild } from '../sql-child.ts'

runSqlChild()
