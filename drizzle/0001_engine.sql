CREATE TABLE `verifications` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`task_id` integer NOT NULL,
	`record_id` integer NOT NULL,
	`target_id` integer NOT NULL,
	`node_id` integer NOT NULL,
	`command_id` integer,
	`attempt` integer DEFAULT 0 NOT NULL,
	`status` text NOT NULL,
	`trigger` text NOT NULL,
	`grade` integer NOT NULL,
	`reached_grade` integer,
	`identity_file` text,
	`report` text,
	`progress` text,
	`error_message` text DEFAULT '' NOT NULL,
	`created_at` integer NOT NULL,
	`started_at` integer,
	`finished_at` integer
);
--> statement-breakpoint
CREATE INDEX `verifications_of_record` ON `verifications` (`record_id`);--> statement-breakpoint
CREATE UNIQUE INDEX `verifications_active` ON `verifications` (`task_id`,`record_id`,`target_id`) WHERE status in ('queued', 'running');--> statement-breakpoint
ALTER TABLE `agent_commands` ADD `verification_id` integer;--> statement-breakpoint
ALTER TABLE `backup_records` ADD `kind` text DEFAULT 'full' NOT NULL;--> statement-breakpoint
ALTER TABLE `backup_records` ADD `base_record_id` integer;--> statement-breakpoint
ALTER TABLE `backup_records` ADD `archive_index` text;--> statement-breakpoint
ALTER TABLE `backup_records` ADD `snapshot_id` text;--> statement-breakpoint
ALTER TABLE `backup_records` ADD `locked` integer DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE `backup_records` ADD `verified_grade` integer;--> statement-breakpoint
ALTER TABLE `backup_records` ADD `verified_at` integer;--> statement-breakpoint
ALTER TABLE `backup_records` ADD `verified_node_id` integer;--> statement-breakpoint
CREATE INDEX `backup_records_of_base` ON `backup_records` (`base_record_id`) WHERE base_record_id is not null;--> statement-breakpoint
CREATE INDEX `backup_records_leaving` ON `backup_records` (`deleted_at`) WHERE deleted_at is not null;--> statement-breakpoint
ALTER TABLE `backup_tasks` ADD `secrets` text;--> statement-breakpoint
ALTER TABLE `backup_tasks` ADD `secret_names` text DEFAULT '[]' NOT NULL;--> statement-breakpoint
ALTER TABLE `backup_tasks` ADD `seal_id` text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE `backup_tasks` ADD `hooks` text;--> statement-breakpoint
ALTER TABLE `backup_tasks` ADD `retention` text;--> statement-breakpoint
ALTER TABLE `backup_tasks` ADD `verification` text;--> statement-breakpoint
ALTER TABLE `backup_tasks` ADD `next_verify_at` integer;--> statement-breakpoint
ALTER TABLE `backup_tasks` ADD `verified_grade` integer;--> statement-breakpoint
ALTER TABLE `backup_tasks` ADD `verified_at` integer;--> statement-breakpoint
CREATE INDEX `backup_tasks_verify_due` ON `backup_tasks` (`next_verify_at`) WHERE next_verify_at is not null;--> statement-breakpoint
CREATE INDEX `backup_tasks_kept` ON `backup_tasks` (`id`) WHERE retention is not null;--> statement-breakpoint
ALTER TABLE `record_copies` ADD `command_id` integer;--> statement-breakpoint
ALTER TABLE `record_copies` ADD `progress` text;--> statement-breakpoint
ALTER TABLE `restore_records` ADD `dry_run` integer DEFAULT false NOT NULL;--> statement-breakpoint
ALTER TABLE `restore_records` ADD `options` text;--> statement-breakpoint
ALTER TABLE `restore_records` ADD `outcome` text;