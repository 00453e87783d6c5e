/** Words that the pages and the server share as values: the roles in their order, and the header that our pages send. Pure. */

/** Each may do what those before it may: who looks, who runs the fleet, who decides who may what. */
export const roles = ['analyst', 'operator', 'admin'] as const
export type Role = (typeof roles)[number]

/** Every request that changes something bears it: a form of another site cannot. */
export const pageHeader = 'lotwatch-page'

/** With it, what is not there is answered by 204: a browser writes each 404 into its console, as if something were wrong. */
export const absentHeader = 'lotwatch-absent'
