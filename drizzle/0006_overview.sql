CREATE TABLE `daily_counts` (
	`day` integer PRIMARY KEY NOT NULL,
	`succeeded` integer DEFAULT 0 NOT NULL,
	`failed` integer DEFAULT 0 NOT NULL,
	`missed` integer DEFAULT 0 NOT NULL,
	`stored_bytes` integer DEFAULT 0 NOT NULL
);
--> statement-breakpoint
CREATE TABLE `tallies` (
	`name` text PRIMARY KEY NOT NULL,
	`value` integer NOT NULL
);
--> statement-breakpoint
ALTER TABLE `backup_tasks` ADD `outcome` text;--> statement-breakpoint
ALTER TABLE `backup_tasks` ADD `ended_at` integer;--> statement-breakpoint
ALTER TABLE `backup_tasks` ADD `ended_record_id` integer;--> statement-breakpoint
ALTER TABLE `backup_tasks` ADD `succeeded_at` integer;--> statement-breakpoint
ALTER TABLE `backup_tasks` ADD `overdue_at` integer;--> statement-breakpoint
ALTER TABLE `backup_tasks` ADD `usual_bytes` integer;--> statement-breakpoint
ALTER TABLE `backup_tasks` ADD `shrunk_at` integer;--> statement-breakpoint
CREATE INDEX `backup_tasks_failing` ON `backup_tasks` (`ended_at`) WHERE outcome <> 'success' and enabled = 1;--> statement-breakpoint
CREATE INDEX `backup_tasks_overdue` ON `backup_tasks` (`overdue_at`) WHERE overdue_at is not null;--> statement-breakpoint
CREATE INDEX `backup_tasks_unverified` ON `backup_tasks` (`succeeded_at`) WHERE verified_at is null and succeeded_at is not null and enabled = 1;--> statement-breakpoint
CREATE INDEX `backup_tasks_shrunk` ON `backup_tasks` (`shrunk_at`) WHERE shrunk_at is not null;--> statement-breakpoint
ALTER TABLE `nodes` ADD `task_count` integer DEFAULT 0 NOT NULL;--> statement-breakpoint
CREATE INDEX `nodes_by_tasks` ON `nodes` (`task_count`) WHERE task_count > 0;--> statement-breakpoint
INSERT INTO `daily_counts` (`day`, `succeeded`, `failed`, `missed`, `stored_bytes`)
SELECT `finished_at` / 86400000, sum(`status` = 'success'), sum(`status` = 'failed'), sum(iif(`status` = 'missed', `runs`, 0)), sum(iif(`status` = 'success', `size_bytes`, 0))
FROM `backup_records` WHERE `finished_at` IS NOT NULL GROUP BY 1;--> statement-breakpoint
INSERT INTO `tallies` (`name`, `value`) VALUES ('nodes', (SELECT count(*) FROM `nodes`)), ('tasks', (SELECT count(*) FROM `backup_tasks`));--> statement-breakpoint
UPDATE `nodes` SET `task_count` = (SELECT count(*) FROM `backup_tasks` WHERE `node_id` = `nodes`.`id`);--> statement-breakpoint
UPDATE `backup_tasks` SET `succeeded_at` = (SELECT max(`finished_at`) FROM `backup_records` WHERE `task_id` = `backup_tasks`.`id` AND `status` = 'success');--> statement-breakpoint
UPDATE `backup_tasks` SET (`outcome`, `ended_at`, `ended_record_id`) = (SELECT `status`, `finished_at`, `id` FROM `backup_records` WHERE `task_id` = `backup_tasks`.`id` AND `status` IN ('success', 'failed', 'missed') ORDER BY `id` DESC LIMIT 1);
