CREATE TABLE `agent_commands` (
	`id` integer PRIMARY KEY NOT NULL,
	`node_id` integer NOT NULL,
	`type` text NOT NULL,
	`lane` text NOT NULL,
	`status` text DEFAULT 'pending' NOT NULL,
	`payload` text NOT NULL,
	`result` text,
	`error_message` text DEFAULT '' NOT NULL,
	`attempt` integer DEFAULT 0 NOT NULL,
	`lease_token` text,
	`lease_expires_at` integer,
	`not_before` integer,
	`record_id` integer,
	`restore_id` integer,
	`cancel_requested_at` integer,
	`created_at` integer NOT NULL,
	`dispatched_at` integer,
	`completed_at` integer,
	`updated_at` integer NOT NULL
);
--> statement-breakpoint
CREATE INDEX `agent_commands_of_node` ON `agent_commands` (`node_id`,`completed_at`);--> statement-breakpoint
CREATE INDEX `agent_commands_leased` ON `agent_commands` (`lease_expires_at`) WHERE status = 'dispatched';--> statement-breakpoint
CREATE TABLE `api_keys` (
	`id` integer PRIMARY KEY NOT NULL,
	`name` text NOT NULL,
	`key_sha256` text NOT NULL,
	`role` text NOT NULL,
	`created_at` integer NOT NULL,
	`expires_at` integer,
	`last_used_at` integer
);
--> statement-breakpoint
CREATE UNIQUE INDEX `api_keys_name_unique` ON `api_keys` (`name`);--> statement-breakpoint
CREATE UNIQUE INDEX `api_keys_key_sha256_unique` ON `api_keys` (`key_sha256`);--> statement-breakpoint
CREATE TABLE `audit_logs` (
	`id` integer PRIMARY KEY NOT NULL,
	`at` integer NOT NULL,
	`actor` text NOT NULL,
	`action` text NOT NULL,
	`entity` text NOT NULL,
	`entity_id` integer,
	`before` text,
	`after` text,
	`ip_address` text DEFAULT '' NOT NULL
);
--> statement-breakpoint
CREATE TABLE `backup_records` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`task_id` integer NOT NULL,
	`task_name` text NOT NULL,
	`node_id` integer,
	`command_id` integer,
	`attempt` integer DEFAULT 0 NOT NULL,
	`status` text NOT NULL,
	`trigger` text NOT NULL,
	`source_type` text NOT NULL,
	`compression` text NOT NULL,
	`source` text NOT NULL,
	`pipeline` text DEFAULT '{}' NOT NULL,
	`target_ids` text NOT NULL,
	`file_name` text DEFAULT '' NOT NULL,
	`size_bytes` integer DEFAULT 0 NOT NULL,
	`source_bytes` integer,
	`entries` integer,
	`checksum` text,
	`warnings` text DEFAULT '[]' NOT NULL,
	`warning_count` integer DEFAULT 0 NOT NULL,
	`timings` text,
	`progress` text,
	`runs` integer DEFAULT 1 NOT NULL,
	`late` integer DEFAULT false NOT NULL,
	`error_message` text DEFAULT '' NOT NULL,
	`created_at` integer NOT NULL,
	`started_at` integer,
	`finished_at` integer,
	`deleted_at` integer
);
--> statement-breakpoint
CREATE UNIQUE INDEX `backup_records_active` ON `backup_records` (`task_id`) WHERE status in ('queued', 'running');--> statement-breakpoint
CREATE INDEX `backup_records_of_task` ON `backup_records` (`task_id`);--> statement-breakpoint
CREATE INDEX `backup_records_of_node` ON `backup_records` (`node_id`);--> statement-breakpoint
CREATE INDEX `backup_records_of_status` ON `backup_records` (`status`) WHERE status <> 'success';--> statement-breakpoint
CREATE TABLE `backup_tasks` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`name` text NOT NULL,
	`source` text NOT NULL,
	`pipeline` text NOT NULL,
	`node_id` integer,
	`pool_label` text,
	`schedule` text,
	`time_zone` text DEFAULT 'UTC' NOT NULL,
	`next_run_at` integer,
	`enabled` integer DEFAULT true NOT NULL,
	`created_at` integer NOT NULL,
	`updated_at` integer NOT NULL
);
--> statement-breakpoint
CREATE UNIQUE INDEX `backup_tasks_name_unique` ON `backup_tasks` (`name`);--> statement-breakpoint
CREATE INDEX `backup_tasks_due` ON `backup_tasks` (`next_run_at`) WHERE next_run_at is not null;--> statement-breakpoint
CREATE INDEX `backup_tasks_of_node` ON `backup_tasks` (`node_id`);--> statement-breakpoint
CREATE TABLE `install_codes` (
	`id` integer PRIMARY KEY NOT NULL,
	`code_sha256` text NOT NULL,
	`node_id` integer,
	`name` text NOT NULL,
	`labels` text DEFAULT '[]' NOT NULL,
	`created_at` integer NOT NULL,
	`expires_at` integer NOT NULL,
	`used_at` integer,
	`used_token_sha256` text
);
--> statement-breakpoint
CREATE UNIQUE INDEX `install_codes_code_sha256_unique` ON `install_codes` (`code_sha256`);--> statement-breakpoint
CREATE INDEX `install_codes_of_node` ON `install_codes` (`node_id`,`created_at`);--> statement-breakpoint
CREATE INDEX `install_codes_expiry` ON `install_codes` (`expires_at`);--> statement-breakpoint
CREATE TABLE `login_failures` (
	`subject` text PRIMARY KEY NOT NULL,
	`failures` integer NOT NULL,
	`until` integer NOT NULL
);
--> statement-breakpoint
CREATE INDEX `login_failures_expiry` ON `login_failures` (`until`);--> statement-breakpoint
CREATE TABLE `nodes` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`name` text NOT NULL,
	`token_sha256` text NOT NULL,
	`previous_token_sha256` text,
	`previous_token_until` integer,
	`status` text DEFAULT 'pending' NOT NULL,
	`connection` text DEFAULT 'never' NOT NULL,
	`last_seen` integer,
	`hostname` text DEFAULT '' NOT NULL,
	`ip_address` text DEFAULT '' NOT NULL,
	`os` text DEFAULT '' NOT NULL,
	`arch` text DEFAULT '' NOT NULL,
	`agent_version` text DEFAULT '' NOT NULL,
	`protocol_version` integer,
	`boot_id` text,
	`previous_boot_id` text,
	`clone_suspected_at` integer,
	`labels` text DEFAULT '[]' NOT NULL,
	`paused` integer DEFAULT false NOT NULL,
	`max_concurrent` integer DEFAULT 1 NOT NULL,
	`bandwidth_limit` integer,
	`capabilities` text,
	`free_disk_bytes` integer,
	`created_at` integer NOT NULL,
	`updated_at` integer NOT NULL
);
--> statement-breakpoint
CREATE UNIQUE INDEX `nodes_name_unique` ON `nodes` (`name`);--> statement-breakpoint
CREATE UNIQUE INDEX `nodes_token_sha256_unique` ON `nodes` (`token_sha256`);--> statement-breakpoint
CREATE UNIQUE INDEX `nodes_previous_token_sha256_unique` ON `nodes` (`previous_token_sha256`);--> statement-breakpoint
CREATE INDEX `nodes_polling` ON `nodes` (`last_seen`) WHERE status = 'online' and connection = 'poll';--> statement-breakpoint
CREATE TABLE `notifications` (
	`id` integer PRIMARY KEY NOT NULL,
	`at` integer NOT NULL,
	`kind` text NOT NULL,
	`node_id` integer,
	`record_id` integer,
	`message` text NOT NULL
);
--> statement-breakpoint
CREATE TABLE `record_copies` (
	`record_id` integer NOT NULL,
	`target_id` integer NOT NULL,
	`target_name` text NOT NULL,
	`status` text NOT NULL,
	`storage_path` text DEFAULT '' NOT NULL,
	`size_bytes` integer DEFAULT 0 NOT NULL,
	`checksum` text,
	`error` text DEFAULT '' NOT NULL,
	`updated_at` integer NOT NULL,
	PRIMARY KEY(`record_id`, `target_id`)
);
--> statement-breakpoint
CREATE INDEX `record_copies_of_target` ON `record_copies` (`target_id`);--> statement-breakpoint
CREATE TABLE `restore_records` (
	`id` integer PRIMARY KEY NOT NULL,
	`record_id` integer NOT NULL,
	`target_id` integer NOT NULL,
	`node_id` integer NOT NULL,
	`command_id` integer,
	`attempt` integer DEFAULT 0 NOT NULL,
	`status` text NOT NULL,
	`destination` text,
	`selected_paths` text,
	`conflict` text NOT NULL,
	`identity_file` text,
	`entries` integer,
	`bytes` integer,
	`warnings` text DEFAULT '[]' NOT NULL,
	`warning_count` integer DEFAULT 0 NOT NULL,
	`progress` text,
	`error_message` text DEFAULT '' NOT NULL,
	`created_at` integer NOT NULL,
	`started_at` integer,
	`finished_at` integer
);
--> statement-breakpoint
CREATE INDEX `restore_records_of_record` ON `restore_records` (`record_id`);--> statement-breakpoint
CREATE TABLE `record_logs` (
	`kind` text NOT NULL,
	`record_id` integer NOT NULL,
	`seq` integer NOT NULL,
	`at` integer NOT NULL,
	`text` text NOT NULL,
	PRIMARY KEY(`kind`, `record_id`, `seq`)
);
--> statement-breakpoint
CREATE TABLE `sessions` (
	`token_sha256` text PRIMARY KEY NOT NULL,
	`user_id` integer NOT NULL,
	`created_at` integer NOT NULL,
	`expires_at` integer NOT NULL
);
--> statement-breakpoint
CREATE INDEX `sessions_of_user` ON `sessions` (`user_id`);--> statement-breakpoint
CREATE INDEX `sessions_expiry` ON `sessions` (`expires_at`);--> statement-breakpoint
CREATE TABLE `storage_targets` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`name` text NOT NULL,
	`type` text NOT NULL,
	`config` text NOT NULL,
	`secrets` text,
	`secret_names` text DEFAULT '[]' NOT NULL,
	`seal_id` text NOT NULL,
	`quota_bytes` integer,
	`used_bytes` integer DEFAULT 0 NOT NULL,
	`created_at` integer NOT NULL,
	`updated_at` integer NOT NULL
);
--> statement-breakpoint
CREATE UNIQUE INDEX `storage_targets_name_unique` ON `storage_targets` (`name`);--> statement-breakpoint
CREATE TABLE `task_targets` (
	`task_id` integer NOT NULL,
	`target_id` integer NOT NULL,
	`position` integer NOT NULL,
	PRIMARY KEY(`task_id`, `target_id`)
);
--> statement-breakpoint
CREATE INDEX `task_targets_of_target` ON `task_targets` (`target_id`);--> statement-breakpoint
CREATE TABLE `users` (
	`id` integer PRIMARY KEY NOT NULL,
	`username` text NOT NULL,
	`password_hash` text NOT NULL,
	`role` text NOT NULL,
	`disabled` integer DEFAULT false NOT NULL,
	`created_at` integer NOT NULL,
	`last_login_at` integer
);
--> statement-breakpoint
CREATE UNIQUE INDEX `users_username_unique` ON `users` (`username`);--> statement-breakpoint
CREATE TABLE `vault_uploads` (
	`upload_id` text PRIMARY KEY NOT NULL,
	`record_id` integer NOT NULL,
	`key` text NOT NULL,
	`created_at` integer NOT NULL
);
--> statement-breakpoint
CREATE INDEX `vault_uploads_of_record` ON `vault_uploads` (`record_id`);