import type { Deps } from "../deps.ts";
import { noNews } from "../live/news.ts";

/** The statement that counts what the statement before it in the batch has made (or, below zero, removed), if it did. */
export function tallyIfChanged({ db }: Deps, name: "nodes" | "tasks", change: number): D1PreparedStatement {
  return db
    .prepare(
      `insert into tallies (name, value) select ?1, ?2 where changes() > 0
       on conflict do update set value = max(0, value + ?2)`,
    )
    .bind(name, change);
}

/** The statement that brings these nodes' number of tasks up to what the tasks say. */
export function countTasksStatement({ db }: Deps, nodeIds: (number | null)[]): D1PreparedStatement {
  return db
    .prepare(
      // The tasks' own change is the news.
      noNews(
        `update nodes set task_count = (select count(*) from backup_tasks where node_id = nodes.id)
         where id in (select value from json_each(?) where value is not null)`,
      ),
    )
    .bind(JSON.stringify(nodeIds));
}
